//! Asking the server what the codes of its character sets mean, by letting it turn each of them into UTF-8.

use std::collections::BTreeSet;

use super::connect::{Control, Flavor, Source, cell};
use super::decode::{Charset, Charsets, Codes, FOUR_BYTES};
use super::error::SourceError;
use crate::schema::SourceTable;

/// The numbers 0 to 15, in a form that all servers know.
const NIBBLE: &str = "(SELECT 0 n UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4 UNION ALL SELECT 5 \
     UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9 UNION ALL SELECT 10 UNION ALL SELECT 11 \
     UNION ALL SELECT 12 UNION ALL SELECT 13 UNION ALL SELECT 14 UNION ALL SELECT 15)";

impl Source {
    /// What the codes of the tables' character sets mean; nothing is asked about sets that they don't have.
    ///
    /// # Errors
    /// A lost connection.
    pub async fn charsets(&self, tables: &[SourceTable]) -> Result<Charsets, SourceError> {
        let columns = tables.iter().flat_map(|table| &table.columns);
        let names: BTreeSet<&str> = columns
            .filter_map(|column| column.charset.as_deref())
            .collect();
        let mut charsets = Charsets::default();
        if names.is_empty() {
            return Ok(charsets);
        }
        let mut control = self.control().await?;
        for name in names {
            let charset = match Charset::known(name) {
                Some(charset) => charset,
                None => Charset::Codes(Box::new(codes(&mut control, name).await?)),
            };
            charsets.add(name, charset);
        }
        self.add_collations(&mut control, &mut charsets).await?;
        control.close().await;
        Ok(charsets)
    }

    async fn add_collations(
        &self,
        control: &mut Control,
        charsets: &mut Charsets,
    ) -> Result<(), SourceError> {
        // A collation of MariaDB's that is of several sets has a number in each.
        let sql = if self.server().flavor == Flavor::MariaDb && self.version() >= (10, 10) {
            "SELECT id, character_set_name FROM information_schema.collation_character_set_applicability"
        } else {
            "SELECT id, character_set_name FROM information_schema.collations"
        };
        for row in control.rows(sql, vec![], "the collations").await? {
            if let Some((id, charset)) = cell::<u16>(&row, 0).zip(cell::<String>(&row, 1)) {
                charsets.add_collation(id, charset);
            }
        }
        Ok(())
    }
}

/// The codes of a set. The name is the server's own.
async fn codes(control: &mut Control, charset: &str) -> Result<Codes, SourceError> {
    let action = format!("the characters of the character set {charset}");
    let sql = "SELECT maxlen FROM information_schema.character_sets WHERE character_set_name = ?";
    let rows = control.rows(sql, vec![charset.into()], &action).await?;
    let longest: u64 = rows.first().and_then(|row| cell(row, 0)).unwrap_or(1);
    let mut codes = Codes::default();
    let byte = |high: &str, low: &str| format!("{high}.n * 16 + {low}.n");
    let (lead, trail) = (byte("a", "b"), byte("c", "d"));
    let (one, two) = (
        format!("{NIBBLE} a, {NIBBLE} b"),
        format!("{NIBBLE} a, {NIBBLE} b, {NIBBLE} c, {NIBBLE} d"),
    );
    learn(control, charset, &lead, &one, &mut codes).await?;
    if longest >= 2 {
        learn(
            control,
            charset,
            &format!("{lead}, {trail}"),
            &two,
            &mut codes,
        )
        .await?;
    }
    if longest == 3 {
        let code = format!("143, {lead}, {trail}");
        learn(control, charset, &code, &two, &mut codes).await?;
    }
    if longest >= 4 {
        // 126 values of the third byte, and ten of each of the second and the fourth.
        let digits = format!("({lead}) * 256 + {trail}");
        let code = "129 + n DIV 12600, 48 + n DIV 1260 % 10, 129 + n DIV 10 % 126, 48 + n % 10";
        let from = format!("(SELECT {digits} n FROM {two} HAVING n < {FOUR_BYTES}) numbers");
        learn(control, charset, code, &from, &mut codes).await?;
    }
    Ok(codes)
}

/// Learns what all the codes mean whose bytes a query has.
async fn learn(
    control: &mut Control,
    charset: &str,
    bytes: &str,
    from: &str,
    codes: &mut Codes,
) -> Result<(), SourceError> {
    let sql = format!(
        "SELECT code, CAST(CONVERT(CONVERT(code USING {charset}) USING utf8mb4) AS BINARY) FROM (SELECT CHAR({bytes}) code FROM {from}) codes"
    );
    let action = format!("the characters of the character set {charset}");
    for row in control.rows(&sql, vec![], &action).await? {
        let Some((code, text)) = cell::<Vec<u8>>(&row, 0).zip(cell::<Vec<u8>>(&row, 1)) else {
            continue;
        };
        let mut characters = std::str::from_utf8(&text).unwrap_or_default().chars();
        // Several characters are those of several codes; `?` is what the server writes for one that Unicode doesn't have.
        match (characters.next(), characters.next()) {
            (Some('?'), None) if code != b"?" => {}
            (Some(character), None) => codes.set(&code, character),
            _ => {}
        }
    }
    Ok(())
}
