use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;

fn reach(rules: &[&str]) -> Reach {
    let rules = rules.iter().map(|rule| Rule::parse(rule).unwrap());
    // A machine of no addresses: that of the tests may have any.
    Reach::beside(rules.collect(), Vec::new(), || Ok(Vec::new()))
}

fn reaches(reach: &Reach, address: &str) -> bool {
    let address: SocketAddr = address.parse().unwrap();
    reach.check(&address.ip().to_string(), address).is_ok()
}

#[test]
fn the_internet_is_reached_and_what_is_nearer_is_not() {
    let reach = reach(&[]);
    for address in [
        "8.8.8.8:1",
        "172.32.0.1:1",
        "100.128.0.1:1",
        "198.20.0.1:1",
        "[2606:4700::1]:1",
        "[2a00:1450::1]:1",
        "[::ffff:8.8.8.8]:1",
    ] {
        assert!(reaches(&reach, address), "{address}");
    }
    for address in [
        "0.0.0.0:1",
        "10.0.0.1:1",
        "100.64.0.1:1",
        "127.8.8.8:1",
        "169.254.169.254:80",
        "172.31.255.255:1",
        "192.0.0.1:1",
        "192.0.2.1:1",
        "192.168.1.1:1",
        "198.19.0.1:1",
        "203.0.113.7:1",
        "224.0.0.1:1",
        "240.0.0.1:1",
        "255.255.255.255:1",
        "[::]:1",
        "[::1]:1",
        "[::127.0.0.1]:1",
        "[::ffff:10.0.0.1]:1",
        "[::ffff:0:10.0.0.1]:1",
        "[64:ff9b::7f00:1]:1",
        "[64:ff9b:1::1]:1",
        "[100::1]:1",
        "[2001::1]:1",
        "[2001:db8::1]:1",
        "[2002:7f00:1::1]:1",
        "[3fff::1]:1",
        "[5f00::1]:1",
        "[fd00::1]:1",
        "[fe80::1%1]:1",
        "[fec0::1]:1",
        "[ff02::1]:1",
    ] {
        assert!(!reaches(&reach, address), "{address}");
    }
    assert!(reaches(&Reach::anywhere(), "127.0.0.1:1"));
}

#[test]
fn the_policy_opens_networks_addresses_and_names_with_their_ports() {
    let reach = reach(&[
        "10.1.0.0/16",
        "127.0.0.1:3306",
        "[fd00::/8]:8123",
        "::1",
        "10.2.0.0/16:9000",
        "DB.internal.",
        "mysql.corp:3306",
    ]);
    for address in [
        "10.1.2.3:1",
        "[::ffff:10.1.2.3]:1",
        "127.0.0.1:3306",
        "[fd12::1]:8123",
        "[::1]:5",
        "10.2.9.9:9000",
    ] {
        assert!(reaches(&reach, address), "{address}");
    }
    for address in [
        "10.3.2.3:1",
        "127.0.0.1:3307",
        "127.0.0.2:3306",
        "[fd12::1]:8124",
        "10.2.9.9:9001",
    ] {
        assert!(!reaches(&reach, address), "{address}");
    }
    let (mysql, other): (SocketAddr, SocketAddr) = (
        "10.9.9.9:3306".parse().unwrap(),
        "10.9.9.9:22".parse().unwrap(),
    );
    assert!(reach.check("db.INTERNAL", other).is_ok());
    assert!(reach.check("mysql.corp.", mysql).is_ok());
    assert!(reach.check("mysql.corp", other).is_err());
    assert!(reach.check("sub.db.internal", mysql).is_err());
}

#[test]
fn what_is_no_rule_is_refused() {
    for text in [
        "",
        "*",
        "127.1",
        "2130706433",
        "0x7f000001",
        "10.0.0.0/33",
        "http://db",
        "db:0",
        "db:70000",
        "[10.0.0.0/8]:1",
        "a..b",
        ":3306",
    ] {
        assert!(Rule::parse(text).is_err(), "{text}");
    }
}

#[test]
fn however_loopback_is_written_it_is_refused_and_the_error_says_what_to_add() {
    for host in [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f.1",
        "017700000001",
        "localhost",
        "LOCALHOST",
        "[::1]",
        "::1",
        "[::ffff:127.0.0.1]",
        "::ffff:7f00:1",
        "0.0.0.0",
        "0",
    ] {
        let error = reach(&[]).resolve(host, 3306).unwrap_err();
        assert!(
            matches!(error, ReachError::OutOfReach(_)),
            "{host}: {error}"
        );
        let text = error.to_string();
        for words in [host, ":3306", "service.reach"] {
            assert!(text.contains(words), "{words}: {text}");
        }
        assert!(!text.contains(".toml"), "nothing of the machine: {text}");
        assert!(Reach::anywhere().resolve(host, 3306).is_ok(), "{host}");
    }
    let named = reach(&["localhost:3306"]);
    assert!(named.resolve("localhost", 3306).is_ok());
    assert!(named.resolve("127.0.0.1", 3306).is_err());
}

/// Addresses of the internet, of which one is written as an IPv4 address in IPv6.
fn own() -> io::Result<Vec<IpAddr>> {
    let own = ["8.8.8.8", "2606:4700::7", "::ffff:9.9.9.9"];
    Ok(own.map(|address| address.parse().unwrap()).to_vec())
}

#[test]
fn the_machines_own_addresses_are_no_part_of_the_internet() {
    let reach = |rules: &[&str]| {
        let rules = rules.iter().map(|rule| Rule::parse(rule).unwrap());
        Reach::beside(rules.collect(), Vec::new(), own)
    };
    for address in [
        "8.8.8.8:1",
        "[::ffff:8.8.8.8]:1",
        "[2606:4700::7]:1",
        "9.9.9.9:1",
    ] {
        assert!(!reaches(&reach(&[]), address), "{address}");
    }
    for address in ["8.8.8.9:1", "[2606:4700::8]:1"] {
        assert!(reaches(&reach(&[]), address), "{address}");
    }
    let named = reach(&["8.8.8.8:3306"]);
    assert!(reaches(&named, "8.8.8.8:3306") && !reaches(&named, "8.8.8.8:22"));
    let error = reach(&[]).resolve("8.8.8.8", 3306).unwrap_err().to_string();
    assert!(
        error.contains("an address of the service's machine"),
        "{error}"
    );
    let unknown = Reach::beside(vec![], vec![], || Err(io::ErrorKind::Other.into()));
    assert!(
        !reaches(&unknown, "8.8.8.8:1"),
        "what can't be told is refused"
    );
}

#[test]
fn the_interfaces_of_this_machine_are_found() {
    let found = interfaces().unwrap();
    assert!(found.contains(&Ipv4Addr::LOCALHOST.into()), "{found:?}");
    // And asked of, which no rule of the test has to say.
    let bounded = Reach::bounded(vec![], vec![]);
    for address in found {
        let address = SocketAddr::new(address, 1);
        assert!(bounded.check(&address.ip().to_string(), address).is_err());
    }
}

#[test]
fn a_name_out_of_reach_and_one_that_nobody_knows_have_one_answer() {
    let reach = reach(&[]);
    let near = reach.resolve("localhost", 3306).unwrap_err().to_string();
    let failed = |words: &str| {
        let cause = io::Error::other(format!("failed to lookup address information: {words}"));
        reach.not_found("localhost", 3306, cause)
    };
    for words in [
        "Name or service not known",
        "No address associated with hostname",
    ] {
        let unknown = failed(words);
        assert!(matches!(unknown, ReachError::OutOfReach(_)), "{unknown}");
        assert_eq!(unknown.to_string(), near);
    }
    let none = reach.within("localhost", 3306, vec![]).unwrap_err();
    assert_eq!(none.to_string(), near);
    assert!(!near.contains("loopback"), "{near}");
    // What may pass is told as it is, so that a pipe waits for it.
    let passing = failed("Temporary failure in name resolution");
    assert!(matches!(passing, ReachError::Unknown(_)), "{passing}");
    let own = Reach::anywhere().not_found("x", 1, io::Error::other("Name or service not known"));
    assert!(matches!(own, ReachError::Unknown(_)), "{own}");
}

#[tokio::test]
async fn a_request_goes_to_no_address_out_of_reach_and_follows_no_redirect() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let answers = tokio::spawn(async move {
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 1024]).await.unwrap();
            let answer = "HTTP/1.1 307 Temporary Redirect\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n";
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    let ask = async |reach: Reach, host: &str| {
        let url = format!("http://{host}:{port}/hook").parse().unwrap();
        let request = reach.request(reqwest::Method::POST, url).await?;
        Ok::<_, ReachError>(request.send().await.unwrap().status().as_u16())
    };
    for host in ["localhost", "127.0.0.1", "127.1", "[::ffff:127.0.0.1]"] {
        let refused = ask(reach(&[]), host).await;
        assert!(matches!(refused, Err(ReachError::OutOfReach(_))), "{host}");
    }
    let allowed = || reach(&["127.0.0.0/8"]);
    assert_eq!(ask(allowed(), "localhost").await.unwrap(), 307);
    assert_eq!(ask(allowed(), "127.0.0.1").await.unwrap(), 307);
    answers.await.unwrap();
}

proptest! {
    /// The answer doesn't depend on how an IPv4 address is written or embedded.
    #[test]
    fn an_address_is_judged_alike_in_all_its_forms(bits: u32, port in 1..=u16::MAX) {
        let plain = Ipv4Addr::from_bits(bits);
        let reach = reach(&[]);
        let judged = |host: &str| reach.resolve(host, port).is_ok();
        let [a, b, c, d] = plain.octets();
        let rest = u32::from_be_bytes([0, b, c, d]);
        let expected = judged(&plain.to_string());
        let mapped = plain.to_ipv6_mapped();
        for host in [
            format!("{bits}"),
            format!("{bits:#x}"),
            format!("{a}.{rest}"),
            format!("{a:#o}.{b}.{c}.{d}").replace("0o", "0"),
            mapped.to_string(),
            format!("[::ffff:{:x}:{:x}]", bits >> 16, bits & 0xffff),
        ] {
            prop_assert_eq!(judged(&host), expected, "{}", host);
        }
        let [.., high, low] = mapped.segments();
        for embedded in [
            Ipv6Addr::new(0, 0, 0, 0, 0, 0, high, low),
            Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
            Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1),
        ] {
            prop_assert!(!judged(&embedded.to_string()), "{}", embedded);
        }
    }

    /// A rule opens its network and nothing beside it.
    #[test]
    fn a_rule_opens_what_is_in_its_network(bits: u32, other: u32, prefix in 8..=32u8) {
        let network = ipnet::Ipv4Net::new(Ipv4Addr::from_bits(bits), prefix).unwrap().trunc();
        let reach = reach(&[&network.to_string()]);
        for address in [Ipv4Addr::from_bits(other), Ipv4Addr::from_bits(bits ^ (other >> prefix.min(31)))] {
            let global = ranges::special(address.into()).is_none();
            let opened = reach.check("x", SocketAddr::new(address.into(), 1)).is_ok();
            prop_assert_eq!(opened, global || network.contains(&address));
        }
    }
}
