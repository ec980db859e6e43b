//! The web pages, in a browser: a pipe made by the wizard, its load, a resync after the source's schema has changed, and what a viewer sees.
//!
//! Each page is looked at in light, dark and on a narrow screen, checked for accessibility and for errors on the console; the pictures are kept in
//! `target/screenshots`.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::desk::Desk;
use crate::support::browser::{By, Key};
use crate::support::service::{Client, Service};
use crate::support::{ClickHouse, Flavor, MySql, root};

/// How long a load may take on a machine that is busy with other tests.
const LOAD: Duration = Duration::from_secs(120);
/// Rows of `orders`.
const ORDERS: u32 = 8_000;

/// A source with what a wizard meets: tables, a view, and a table without a key.
fn source() -> MySql {
    let mysql = MySql::new(Flavor::MySql);
    mysql.run(&format!(
        "{};
         CREATE TABLE customers (id INT UNSIGNED NOT NULL PRIMARY KEY, name VARCHAR(80) NOT NULL, email VARCHAR(120));
         INSERT INTO customers WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)
           SELECT i, CONCAT('Customer ', i), CONCAT('c', i, '@example.com') FROM n;
         CREATE TABLE orders (id INT UNSIGNED NOT NULL PRIMARY KEY, customer INT UNSIGNED NOT NULL, status VARCHAR(12) NOT NULL, total DECIMAL(10, 2) NOT NULL, placed DATETIME NOT NULL);
         INSERT INTO orders WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ORDERS})
           SELECT i, 1 + i % 500, IF(i % 9 = 0, 'open', 'paid'), i * 1.17, '2026-01-01' + INTERVAL i MINUTE FROM n;
         CREATE TABLE audit_lines (at DATETIME, line TEXT);
         CREATE VIEW totals AS SELECT customer, SUM(total) AS total FROM orders GROUP BY customer;\n",
        mysql.flavor.deep_recursion()
    ));
    mysql
}

fn count(clickhouse: &ClickHouse, table: &str) -> String {
    clickhouse.query(&format!("SELECT count() FROM {{db}}.{table} FINAL"))
}

/// The wizard, from the connection to a pipe that runs.
fn make_pipe(desk: &Desk, mysql: &MySql, clickhouse: &ClickHouse) {
    let browser = &desk.browser;
    browser.fill(By::Field("Host"), "127.0.0.1");
    browser.fill(By::Field("Port"), "1");
    browser.fill(By::Field("User"), "root");
    browser.fill(By::Field("Password"), "seen-nowhere");
    browser.fill(By::Field("Encryption"), "No encryption");
    browser.click(By::Button("Connect"));
    browser.wait_for(By::Css("[role=alert]"));
    expect_refusal(desk, "422");
    assert!(!page_source(desk).contains("seen-nowhere"));
    browser.fill(By::Field("Port"), &mysql.port().to_string());
    desk.look("wizard-1-connection");
    browser.click(By::Button("Connect"));
    browser.wait_for_text("Choose the tables", LOAD);
    let database = &mysql.database;
    let of_database = format!("#{database}-tables");
    if browser.count(By::Field(&format!("{database}.orders"))) == 0 {
        browser.click(By::Css(&format!("{of_database} summary")));
    }
    for table in ["orders", "customers"] {
        browser.click(By::Field(&format!("{database}.{table}")));
    }
    let disabled =
        format!("return document.querySelectorAll('{of_database} input:disabled').length");
    assert_eq!(
        browser.run(&disabled, &[]),
        2,
        "a view, and a table without a key"
    );
    desk.look("wizard-2-tables");
    browser.click(By::Button("Continue"));
    browser.fill(By::Field("Name of the pipe"), "shop");
    let url = format!("http://127.0.0.1:{}", clickhouse.http_port);
    browser.fill(By::Field("Address of ClickHouse"), &url);
    browser.fill(By::Field("Database"), &clickhouse.database);
    desk.look("wizard-3-destination");
    browser.click(By::Button("Continue"));
    browser.wait_for_text("What the check found", LOAD);
    assert!(!page_source(desk).contains("seen-nowhere"));
    desk.look("wizard-4-review");
    browser.click(By::Button("Create and start"));
    browser.wait_for_text("The pipe was started.", LOAD);
}

fn page_source(desk: &Desk) -> String {
    let html = desk
        .browser
        .run("return document.documentElement.outerHTML", &[]);
    html.as_str().expect("a page").to_owned()
}

/// Changes the settings' text by a script, as typing would, and saves it.
fn save_settings(desk: &Desk, replacements: &[(&str, &str)]) {
    desk.go("/pipes/shop/settings");
    let edit = "const toml = document.getElementById('toml');
        for (const [from, to] of arguments[0]) {
          if (!toml.value.includes(from)) throw new Error(from);
          toml.value = toml.value.replace(from, to);
        }";
    desk.browser.run(edit, &[json!(replacements)]);
    desk.browser.click(By::Button("Save"));
}

/// Types lines at the end of the settings, and saves them.
fn type_settings(desk: &Desk, lines: &[&str]) {
    let browser = &desk.browser;
    desk.go("/pipes/shop/settings");
    browser.click(By::Field("Settings as TOML"));
    browser.press(&[Key::Control, Key::End]);
    for line in lines {
        browser.press(&[Key::Enter]);
        browser.type_text(line);
    }
    browser.click(By::Button("Save"));
}

/// The errors of a page that tells of a refusal: the refusal itself is one.
#[track_caller]
fn expect_refusal(desk: &Desk, status: &str) {
    let errors = desk.browser.console_errors();
    let [error] = errors.as_slice() else {
        panic!("one error: {errors:?}");
    };
    assert!(error.contains(status), "{error}");
}

/// The phases that a resync went through, as the service has told them, in order.
fn phases(client: &Client, resync: &str) -> Vec<String> {
    let events = client.get("/v1/pipes/shop/events?limit=200").is(200).json;
    let events = events["items"].as_array().expect("a list").iter().rev();
    let told = events.filter(|event| event["kind"] == "phase" && event["resync"] == resync);
    let told = told.map(|event| event["phase"].as_str().expect("a phase").to_owned());
    let mut phases: Vec<String> = told.collect();
    // It goes on in the phase in which it has waited.
    phases.dedup();
    phases
}

/// The wizard's first page.
fn begin(desk: &Desk) {
    desk.go("/");
    desk.look("data-sources-empty");
    desk.browser.click(By::Link("Make the first pipe"));
}

/// Presses Resync and confirms it, by the keyboard alone.
fn resync_by_keyboard(desk: &Desk) {
    let browser = &desk.browser;
    desk.go("/pipes/shop/settings");
    desk.tab_to("Resync");
    browser.press(&[Key::Enter]);
    browser.wait_for_text("Start the resync", LOAD);
    let dialog = browser.text();
    assert!(dialog.contains("adds channel"), "{dialog}");
    // Escape closes it, and the focus is where it was.
    browser.press(&[Key::Escape]);
    browser.wait_until("no dialog", LOAD, || browser.count(By::Css("dialog")) == 0);
    assert_eq!(browser.focused(), "Resync");
    browser.press(&[Key::Space]);
    browser.wait_for_text("Start the resync", LOAD);
    desk.look("resync-dialog");
    // Within the dialog the focus goes to the tables, to the choice to stay live, and to the button.
    desk.tab_to("Keep the live tables current meanwhile");
    desk.tab_to("Start the resync");
    browser.press(&[Key::Enter]);
    browser.wait_for_text("The resync has begun.", LOAD);
}

/// Watches a resync on the Overview and the Tables tab until the pipe follows again: the phases that were seen.
fn watch(desk: &Desk) -> Vec<String> {
    let browser = &desk.browser;
    let mut seen: Vec<String> = Vec::new();
    let deadline = Instant::now() + LOAD;
    let (mut looked, mut approved) = (false, false);
    while seen.last().is_none_or(|step| step != "Running") || seen.len() < 2 {
        assert!(Instant::now() < deadline, "{seen:?}: {}", browser.text());
        let step = desk.step();
        if !step.is_empty() && seen.last() != Some(&step) {
            seen.push(step.clone());
        }
        if step == "Snapshot" && !looked {
            looked = true;
            desk.look("overview-snapshot");
            desk.go("/pipes/shop/tables");
            let read = || desk.rows_read("orders");
            let first = read();
            browser.wait_until("more rows by themselves", LOAD, || read() > first);
            desk.look("tables-loading");
            desk.go("/pipes/shop");
        }
        // The new transform leaves more than a tenth of the rows out, which the pipe asks about.
        if step == "Resync" && !approved && browser.count(By::Button("Approve the swap")) == 1 {
            approved = true;
            desk.look("overview-needs-approval");
            browser.click(By::Button("Approve the swap"));
            browser.wait_for_text("The swap was approved.", LOAD);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(looked && approved, "{seen:?}");
    seen
}

#[test]
fn a_pipe_is_made_watched_and_resynced_in_the_browser() {
    let (mysql, clickhouse) = (source(), ClickHouse::new());
    let desk = Desk::new(Service::start());
    let browser = &desk.browser;
    let admin = desk.service.tenant("acme");

    // Signing in.
    desk.go("/pipes/shop/settings");
    let login = "/login?next=%2Fpipes%2Fshop%2Fsettings";
    assert!(browser.url().ends_with(login), "{}", browser.url());
    desk.look("login");
    browser.fill(By::Field("Token"), "tm_0123_wrong");
    browser.click(By::Button("Sign in"));
    browser.wait_for_text("This token is unknown", LOAD);
    expect_refusal(&desk, "401");
    browser.fill(By::Field("Token"), &admin.token);
    browser.click(By::Button("Sign in"));
    browser.wait_for_text("There is no pipe `shop`", LOAD);
    expect_refusal(&desk, "404");
    desk.look("not-found");

    // The wizard, and the first load.
    begin(&desk);
    make_pipe(&desk, &mysql, &clickhouse);
    browser.wait_until("Running", LOAD, || desk.step() == "Running");
    assert_eq!(count(&clickhouse, "orders"), ORDERS.to_string());
    desk.go("/pipes/shop/tables");
    browser.wait_until("all rows", LOAD, || {
        desk.rows_read("orders") == u64::from(ORDERS)
    });

    // A plugin, and settings that use it.
    upload(&desk);
    type_settings(&desk, &["surplus = 1"]);
    browser.wait_for(By::Css("[role=alert]"));
    assert!(
        browser.text().contains("surplus") && browser.text().contains("Line "),
        "{}",
        browser.text()
    );
    expect_refusal(&desk, "422");
    let slow = [
        ("# rows_per_second = 100000", "rows_per_second = 400"),
        ("# chunk_rows = 500000", "chunk_rows = 1000"),
    ];
    save_settings(&desk, &slow);
    browser.wait_for_text("The settings were saved.", LOAD);
    type_settings(
        &desk,
        &[
            "[[table.transform]]",
            "plugin = \"filter\"",
            "config = { where = \"status <> 'open'\" }",
        ],
    );
    browser.wait_for_text("The settings were saved.", LOAD);
    desk.go("/pipes/shop");
    browser.wait_for_text("The settings have changed since the last load", LOAD);
    desk.look("overview-drift");

    // The source changes so that a resync is needed.
    mysql.run(
        "ALTER TABLE orders DROP COLUMN placed, ADD COLUMN channel VARCHAR(12) NOT NULL DEFAULT 'web' AFTER customer;\n\
         INSERT INTO orders (id, customer, channel, status, total) VALUES (100001, 1, 'shop', 'paid', 9.99);\n",
    );
    browser.wait_for_text("Needs a resync", LOAD);
    desk.look("overview-needs-resync");

    // The resync.
    let before = last_resync(&admin);
    resync_by_keyboard(&desk);
    let seen = watch(&desk);
    assert!(seen.contains(&"Snapshot".to_owned()), "{seen:?}");
    let resync = last_resync(&admin);
    assert_ne!(resync, before);
    assert_eq!(
        phases(&admin, &resync),
        ["setup", "snapshot", "resync", "running"]
    );
    let filtered = u64::from(ORDERS) / 9;
    let kept = u64::from(ORDERS) - filtered + 1;
    assert_eq!(count(&clickhouse, "orders"), kept.to_string());
    let channels =
        "SELECT arrayStringConcat(arraySort(groupUniqArray(channel)), ',') FROM {db}.orders FINAL";
    assert_eq!(clickhouse.query(channels), "shop,web");

    // Every tab.
    desk.go("/pipes/shop/tables");
    browser.wait_for_text("adds up", LOAD);
    assert_eq!(desk.rows_read("orders"), u64::from(ORDERS) + 1);
    desk.look("tables");
    desk.go("/pipes/shop");
    desk.look("overview-running");
    desk.go("/pipes/shop/transforms");
    browser.wait_for_text("As a resync would bind them now", LOAD);
    assert!(browser.text().contains("channel"), "{}", browser.text());
    desk.look("transforms");
    let preview = format!("a[href$='preview?table={}.orders']", mysql.database);
    browser.click(By::Css(&preview));
    browser.wait_for_text("First rows of", LOAD);
    assert!(
        browser.text().contains("It is left out."),
        "{}",
        browser.text()
    );
    desk.look("preview");
    browser.click(By::Link("Close"));
    desk.go("/pipes/shop/settings");
    assert!(!browser.text().contains("seen-nowhere"));
    desk.look("settings");
    desk.go("/pipes/shop/logs");
    browser.wait_for_text("Resync by `first token`", LOAD);
    desk.look("logs");
    browser.fill(By::Field("Show"), "Phases");
    browser.wait_until("phases alone", LOAD, || {
        !browser.text().contains("Resync by")
    });
    // Samples are taken every five seconds.
    desk.go("/pipes/shop/metrics");
    browser.wait_for_text("Lag behind the source", LOAD);
    desk.look("metrics");
    desk.go("/");
    browser.wait_for_text("Running", LOAD);
    desk.look("data-sources");
    desk.go("/docs");
    desk.look("api");

    viewer_sees_no_buttons(&desk, &admin);
}

fn last_resync(client: &Client) -> String {
    let pipe = client.get("/v1/pipes/shop").is(200).json;
    pipe["last_resync"]["id"]
        .as_str()
        .expect("an id")
        .to_owned()
}

/// Uploads a plugin through its page.
fn upload(desk: &Desk) {
    let browser = &desk.browser;
    desk.go("/plugins");
    desk.look("plugins-empty");
    let file = root().join("target/plugins/filter.wasm");
    browser.fill(By::Field("File"), &file.display().to_string());
    browser.click(By::Button("Upload"));
    browser.wait_for_text("The plugin was uploaded.", LOAD);
    desk.look("plugin");
    desk.go("/plugins");
    desk.look("plugins");
}

/// Makes a viewer's token, and signs in with it.
fn viewer_sees_no_buttons(desk: &Desk, admin: &Client) {
    let browser = &desk.browser;
    desk.go("/access");
    browser.fill(By::Field("What the token is for"), "dashboard");
    browser.fill(By::Field("Role"), "viewer");
    browser.click(By::Button("Make a token"));
    let token = browser.text_of(By::Css(".secret"));
    desk.look("access");
    desk.sign_out();
    desk.sign_in(&token);
    for page in [
        "/",
        "/pipes/shop",
        "/pipes/shop/tables",
        "/pipes/shop/transforms",
        "/pipes/shop/settings",
        "/pipes/shop/metrics",
        "/plugins",
        "/plugins/filter",
        "/access",
    ] {
        desk.go(page);
        let controls = browser.count(By::Css("main button, main .button, main form, main input"));
        assert_eq!(controls, 0, "{page}: {}", browser.text());
    }
    desk.look("viewer-access");
    desk.go("/pipes/shop/logs");
    // What isn't shown is refused as well; so is what bears no token of the session, or the one of another.
    let csrf = "document.querySelector('[name=csrf]').value";
    for (path, token, status) in [
        ("/pipes/shop/state", csrf, 403),
        ("/pipes/shop/delete", csrf, 403),
        ("/access/tokens", csrf, 403),
        ("/logout", "''", 403),
        ("/logout", "'0'.repeat(64)", 403),
    ] {
        let script = format!(
            "return fetch('{path}', {{ method: 'POST', body: new URLSearchParams({{ csrf: {token}, state: 'stop', name: 'x', role: 'admin' }}) }}).then(r => r.status)"
        );
        assert_eq!(
            browser.run(&script, &[]),
            Value::from(status),
            "{path} {token}"
        );
    }
    browser.console_errors();
    assert_eq!(
        admin.get("/v1/pipes/shop").is(200).json["wanted"],
        "running"
    );
    let audited = admin.get("/v1/audit").is(200).json.to_string();
    for action in [
        "POST /login",
        "POST /pipes/{pipe}/state",
        "POST /new/{draft}/review",
        "POST /plugins",
    ] {
        assert!(audited.contains(action), "{action}: {audited}");
    }
}

#[test]
fn pages_are_for_those_who_have_signed_in() {
    let service = Service::start();
    let admin = service.tenant("acme");
    let nobody = service.client("");
    for path in [
        "/",
        "/new",
        "/pipes/x",
        "/pipes/x/logs",
        "/plugins",
        "/access",
    ] {
        let reply = nobody.get(path).is(303);
        let to = reply.header("location").expect("a place");
        assert!(to.starts_with("/login"), "{path}: {to}");
        // A bearer token is for the API: pages know sessions alone.
        admin.get(path).is(303);
    }
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let sign_in = |more: &[(&str, &str)], next: &str| {
        let body = format!("token={}&next={next}", admin.token);
        let headers = [&form, more].concat();
        nobody.send("POST", "/login", &headers, Some(body.into()))
    };
    sign_in(&[("sec-fetch-site", "cross-site")], "/").is(403);
    sign_in(&[("origin", "https://evil.example")], "/").is(403);
    let reply = sign_in(&[], "//evil.example").is(303);
    assert_eq!(reply.header("location"), Some("/"));
    let cookie = reply.header("set-cookie").expect("a cookie").to_owned();
    for part in ["HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains("Secure"), "{cookie}");
    let by_https = sign_in(&[("x-forwarded-proto", "https")], "/").is(303);
    assert!(
        by_https
            .header("set-cookie")
            .expect("a cookie")
            .contains("; Secure")
    );

    let cookie = cookie.split(';').next().expect("a cookie").to_owned();
    let with = [("cookie", cookie.as_str())];
    let page = nobody.send("GET", "/", &with, None).is(200);
    let policy = page.header("content-security-policy").expect("a policy");
    assert!(
        policy.contains("default-src 'self'") && !policy.contains("unsafe"),
        "{policy}"
    );
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(page.header("cache-control"), Some("no-store"));
    // Every form that changes something wants the session's token.
    let paths = [
        "/new",
        "/pipes/x/state",
        "/pipes/x/settings",
        "/pipes/x/secrets",
        "/pipes/x/delete",
        "/plugins",
        "/plugins/x/delete",
        "/access/tokens",
        "/access/tokens/x/revoke",
        "/logout",
    ];
    for path in paths {
        let headers = [&form[..], &with].concat();
        let reply = nobody.send("POST", path, &headers, Some("csrf=0".into()));
        assert!(
            reply.is(403).text.contains("belong to this session"),
            "{path}"
        );
    }
    let missing = nobody.send("GET", "/pipes/none", &with, None).is(404);
    assert!(
        missing.text.contains("There is no pipe `none`"),
        "{}",
        missing.text
    );
    let html = [("cookie", cookie.as_str()), ("accept", "text/html")];
    assert!(
        nobody
            .send("GET", "/nowhere", &html, None)
            .is(404)
            .text
            .contains("<h1>")
    );
    nobody.get("/v1/nowhere").problem(404, "not_found");

    // An asset is asked for once more only if it has changed.
    let css = nobody.get("/assets/tidemill.css").is(200);
    let known = [("if-none-match", css.header("etag").expect("a tag"))];
    nobody
        .send("GET", "/assets/tidemill.css", &known, None)
        .is(304);
}
