//! TPC-H `lineitem` in MySQL, out of the `tpchgen` crate.

use std::io::Write;
use std::process::{Command, Stdio};

use tpchgen::generators::LineItemGenerator;

use crate::support::MySql;

/// Creates and fills the table. How many rows it has.
pub(crate) fn load(mysql: &MySql, scale: f64) -> u64 {
    mysql.run(
        "CREATE TABLE lineitem (l_orderkey BIGINT NOT NULL, l_partkey BIGINT NOT NULL, l_suppkey BIGINT NOT NULL, l_linenumber INT NOT NULL,
           l_quantity DECIMAL(15, 2) NOT NULL, l_extendedprice DECIMAL(15, 2) NOT NULL, l_discount DECIMAL(15, 2) NOT NULL, l_tax DECIMAL(15, 2) NOT NULL,
           l_returnflag CHAR(1) NOT NULL, l_linestatus CHAR(1) NOT NULL, l_shipdate DATE NOT NULL, l_commitdate DATE NOT NULL, l_receiptdate DATE NOT NULL,
           l_shipinstruct CHAR(25) NOT NULL, l_shipmode CHAR(10) NOT NULL, l_comment VARCHAR(44) NOT NULL, PRIMARY KEY (l_orderkey, l_linenumber));\n",
    );
    let mut client = Command::new(mysql.server.get("client"))
        .args([
            "--no-defaults",
            "--user=root",
            "--local-infile=1",
            "--socket",
            mysql.server.get("socket"),
            &mysql.database,
        ])
        .args([
            "-e",
            "LOAD DATA LOCAL INFILE '/dev/stdin' INTO TABLE lineitem FIELDS TERMINATED BY '|'",
        ])
        .stdin(Stdio::piped())
        .spawn()
        .expect("the client runs");
    let mut rows = 0;
    {
        let mut out =
            std::io::BufWriter::with_capacity(1 << 20, client.stdin.take().expect("piped"));
        for line in LineItemGenerator::new(scale, 1, 1).iter() {
            writeln!(out, "{line}").expect("the client reads");
            rows += 1;
        }
    }
    assert!(client.wait().expect("it ends").success());
    mysql.run("ANALYZE TABLE lineitem;\n");
    rows
}
