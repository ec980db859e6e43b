//! What `check` says of a binlog that a pipe is to follow.

use serde_json::Value;

use crate::support::{ClickHouse, Flavor, MySql, World, servers};

/// The findings of `check`, as lines `severity subject: message`, and its exit code.
fn check(world: &World) -> (Vec<String>, Option<i32>) {
    let checked = world.tidemill(&["check"]);
    let findings = checked.json["result"]["findings"]
        .as_array()
        .unwrap_or_else(|| panic!("{checked:#?}"));
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap().to_owned();
    let line = |finding| {
        let (severity, subject) = (text(finding, "severity"), text(finding, "subject"));
        format!("{severity} {subject}: {}", text(finding, "message"))
    };
    (findings.iter().map(line).collect(), checked.code)
}

#[track_caller]
fn assert_told(findings: &[String], expected: &[&[&str]]) {
    for words in expected {
        let told = |finding: &String| words.iter().all(|word| finding.contains(word));
        assert!(findings.iter().any(told), "{words:?}: {findings:#?}");
    }
}

/// A pipe that follows, also a table that a foreign key empties, and one without a key.
fn world(mysql: MySql) -> World {
    mysql.run(
        "CREATE TABLE parent (id INT PRIMARY KEY);
         CREATE TABLE child (id INT PRIMARY KEY, p INT, CONSTRAINT `of parent` FOREIGN KEY (p) REFERENCES parent (id) ON DELETE CASCADE);
         CREATE TABLE loose (v INT);\n",
    );
    World::of(mysql, ClickHouse::new())
        .following()
        .table("parent", "")
        .table("child", "")
        .table("loose", "engine = \"MergeTree\"")
}

#[test]
fn a_server_whose_binlog_can_be_followed_has_no_errors() {
    for flavor in Flavor::ALL {
        let (findings, code) = check(&world(MySql::new(flavor)));
        assert_eq!(code, Some(0), "{findings:#?}");
        assert_told(&findings, &[&["info", "loose", "appended"]]);
        let cascade = |finding: &String| finding.contains("of parent");
        // MySQL writes what a foreign key changes to its binlog, and MariaDB does not.
        match flavor {
            Flavor::MySql => assert!(!findings.iter().any(cascade), "{findings:#?}"),
            Flavor::MariaDb => assert_told(
                &findings,
                &[&["warning", "child", "`of parent`", "ON DELETE CASCADE"]],
            ),
        }
    }
}

#[test]
fn a_user_who_may_only_read_can_not_follow() {
    for flavor in Flavor::ALL {
        let mut world = world(MySql::new(flavor));
        let database = world.mysql.database.clone();
        let user = format!("u{}", &database[2..]);
        world.mysql.run(&format!(
            "CREATE USER {user} IDENTIFIED BY 'secret';\nGRANT SELECT ON {database}.* TO {user};\n"
        ));
        world.set_login(&format!("user = \"{user}\"\npassword = 'secret'"));
        let (findings, code) = check(&world);
        assert_eq!(code, Some(11), "{findings:#?}");
        assert_told(
            &findings,
            &[
                &["error source", "GRANT REPLICATION SLAVE ON *.*"],
                &["error source", "GRANT REPLICATION CLIENT ON *.*"],
            ],
        );
        if flavor == Flavor::MariaDb {
            assert_told(&findings, &[&["warning", "child", "`of parent`"]]);
        }
        world.mysql.run(&format!(
            "GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO {user};\n"
        ));
        let (findings, code) = check(&world);
        assert_eq!(code, Some(0), "{findings:#?}");
        world.mysql.run(&format!("DROP USER {user};\n"));
    }
}

#[test]
fn settings_of_mariadb_that_hide_changes_are_named() {
    let options = "--binlog-format=MIXED --binlog-row-image=MINIMAL --binlog-row-metadata=NO_LOG --expire-logs-days=0.5 \
                   --binlog-do-db=elsewhere";
    let mysql = MySql::mariadb_with(options, "mariadb-hiding");
    let process = mysql.server.process();
    let world = world(mysql);
    let (findings, code) = check(&world);
    let database = world.mysql.database.clone();
    drop(world);
    servers::kill(process);
    assert_eq!(code, Some(11), "{findings:#?}");
    let database = format!("{database} out of its binlog");
    assert_told(
        &findings,
        &[
            &[
                "error source",
                "binlog_format is MIXED",
                "SET GLOBAL binlog_format = 'ROW'",
            ],
            &[
                "error source",
                "binlog_row_image is MINIMAL",
                "SET GLOBAL binlog_row_image = 'FULL'",
            ],
            &["warning source", "kept for 43200 s"],
            &["info source", "binlog_row_metadata is NO_LOG"],
            &["error", "parent", &database, "binlog-do-db"],
        ],
    );
}

#[test]
fn settings_of_mysql_that_hide_changes_are_named() {
    let options = "--binlog-format=STATEMENT --binlog-row-image=NOBLOB --binlog-row-value-options=PARTIAL_JSON --skip-log-bin \
                   --binlog-expire-logs-seconds=3600 --binlog-row-metadata=MINIMAL --innodb-native-foreign-keys=ON";
    let mysql = MySql::mysql_with(options, "mysql-hiding");
    let process = mysql.server.process();
    let world = world(mysql);
    let (findings, code) = check(&world);
    // A pipe that only loads needs none of it.
    let world = World::of(world.mysql, world.clickhouse).table("child", "");
    let (of_load, code_of_load) = check(&world);
    drop(world);
    servers::kill(process);
    assert_eq!(code, Some(11), "{findings:#?}");
    assert_told(
        &findings,
        &[
            &["error source", "writes no binlog", "cdc = false"],
            &["error source", "binlog_format is STATEMENT"],
            &["error source", "binlog_row_image is NOBLOB"],
            &[
                "error source",
                "PARTIAL_JSON",
                "SET GLOBAL binlog_row_value_options = ''",
            ],
            &["warning source", "kept for 3600 s"],
            &["info source", "binlog_row_metadata is MINIMAL"],
            &["warning", "child", "`of parent`", "ON DELETE CASCADE"],
        ],
    );
    assert_eq!(code_of_load, Some(0), "{of_load:#?}");
    assert_told(
        &of_load,
        &[&["info source", "writes no binlog, so the snapshot"]],
    );
    assert!(
        !of_load.iter().any(|finding| finding.contains("STATEMENT")),
        "{of_load:#?}"
    );
}
