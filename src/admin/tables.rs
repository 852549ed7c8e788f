//! The numbers behind each picture, once: written as JSON for programs and as CSV for spreadsheets.

use std::fmt::Write as _;

use serde_json::{Map, Value};

/// A table.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// The names of its columns.
    pub columns: &'static [&'static str],
    /// Its rows, each with a value for every column.
    pub rows: Vec<Vec<Value>>,
}

impl Table {
    /// As JSON: a list of objects. Row by row, since a matrix of 500 sites has a quarter of a million.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut text = String::from("{\"rows\":[");
        for (index, row) in self.rows.iter().enumerate() {
            let pairs = self.columns.iter().zip(row).map(|(name, value)| ((*name).to_owned(), value.clone()));
            let comma = if index == 0 { "" } else { "," };
            let _ = write!(text, "{comma}{}", Value::Object(pairs.collect::<Map<_, _>>()));
        }
        text + "]}"
    }

    /// As CSV (RFC 4180), with the names of the columns first.
    #[must_use]
    pub fn to_csv(&self) -> String {
        let mut text = self.columns.join(",") + "\r\n";
        for row in &self.rows {
            for (index, value) in row.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                let _ = match value {
                    Value::Null => Ok(()),
                    Value::String(value) => write!(text, "{}", quoted(value)),
                    other => write!(text, "{other}"),
                };
            }
            text.push_str("\r\n");
        }
        text
    }
}

/// A text in quotes. One that a spreadsheet would take for a formula has an apostrophe before it: a link to a site of the
/// company, with a campaign that somebody made up, must not run anything on the machine of whoever opens the table.
fn quoted(text: &str) -> String {
    let is_formula =
        text.trim_start().starts_with(['=', '+', '-', '@', '|', '%', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}'])
            || text.starts_with(['\t', '\r', '\n']);
    format!("\"{}{}\"", if is_formula { "'" } else { "" }, text.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_table_is_the_same_in_both_forms() {
        let rows = vec![vec![json!("a \"b\",\nc"), json!(3), json!(null)], vec![json!("x"), json!(0.5), json!(true)]];
        let table = Table { columns: &["name", "count", "at"], rows };
        assert_eq!(table.to_csv(), "name,count,at\r\n\"a \"\"b\"\",\nc\",3,\r\n\"x\",0.5,true\r\n");
        let read: Value = serde_json::from_str(&table.to_json()).unwrap();
        assert_eq!(read["rows"][0], json!({"name": "a \"b\",\nc", "count": 3, "at": null}));
    }

    #[test]
    fn no_cell_is_a_formula() {
        for formula in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "  =1", "=cmd|'/c calc'!A0", "|x", "%x", "＝1"] {
            let cell = quoted(formula);
            assert!(cell.starts_with("\"'"), "{cell}");
        }
        assert_eq!(quoted("https://shop.example"), "\"https://shop.example\"");
        assert_eq!(quoted("(direct)"), "\"(direct)\"");
    }
}
