//! The page and the numbers behind it, against a scripted set of visits.

use serde_json::Value;

use crate::support::browser::Browser;
use crate::support::files::Setup;
use crate::support::process::wait_until;
use crate::support::wire::Answer;
use crate::watched::{Watched, visit};

/// The sample is taken anew every second.
fn start() -> Watched {
    Watched::start(Setup { tables: "sample_every_s = 1\n".into(), ..Setup::default() })
}

fn rows(watched: &Watched, name: &str) -> Vec<Value> {
    let answer = watched.get(&format!("/{name}.json"));
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")), "{name}");
    answer.json()["rows"].as_array().expect("rows").clone()
}

/// Waits until the sample holds so many records.
fn sampled(watched: &Watched, records: u64) {
    let is_there = || watched.get("/matrix.json").status == 200 && rows(watched, "matrix")[0]["records_in_sample"] == records;
    wait_until("the sample", || false, is_there).unwrap_or_else(|problem| panic!("{problem}"));
}

/// The rows of a table as CSV, taken apart as RFC 4180 says.
fn csv(answer: &Answer) -> Vec<Vec<String>> {
    assert_eq!(answer.header("content-type"), Some("text/csv; charset=utf-8"));
    let (mut rows, mut row, mut cell, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let text = answer.text();
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => cell.extend(letters.next()),
            '"' => quoted = !quoted,
            ',' if !quoted => row.push(std::mem::take(&mut cell)),
            '\r' if !quoted => {}
            '\n' if !quoted => {
                row.push(std::mem::take(&mut cell));
                rows.push(std::mem::take(&mut row));
            }
            other => cell.push(other),
        }
    }
    rows
}

#[test]
fn the_numbers_are_those_of_the_visits() {
    let watched = start();
    visit(&watched.company);
    sampled(&watched, 3);
    let [brand, shop, learn] = [&watched.company.brand, &watched.company.shop, &watched.company.learn].map(String::as_str);
    let matrix = rows(&watched, "matrix");
    let pair = |one: &str, other: &str| {
        let row = matrix.iter().find(|row| row["site"] == one && row["also_seen_on"] == other).expect("a pair");
        (row["visitors_of_both"].as_u64().unwrap(), row["visitors_of_site"].as_u64().unwrap())
    };
    assert_eq!(matrix.len(), 6);
    assert_eq!((pair(shop, learn), pair(learn, shop)), ((1, 2), (1, 2)));
    assert_eq!((pair(brand, learn), pair(learn, brand), pair(brand, shop)), ((1, 1), (1, 2), (0, 1)));

    let hops = rows(&watched, "hops");
    assert_eq!(hops.len(), 96);
    let sum = |column: &str| hops.iter().map(|row| row[column].as_u64().unwrap()).sum::<u64>();
    assert_eq!((sum("sent_on_a_hop"), sum("answered_known"), sum("answered_new"), sum("answered_without_id")), (3, 1, 2, 0));
    assert_eq!((sum("tokens_taken"), sum("tokens_refused")), (4, 1));

    let latency = rows(&watched, "latency");
    let of = |work: &str| latency.iter().filter(|row| row["work"] == work).map(|row| row["count"].as_u64().unwrap()).sum::<u64>();
    assert_eq!((of("hop"), of("exchange"), latency.len()), (3, 5, 96 * 4));

    let sites = rows(&watched, "sites");
    let site = |name: &str| sites.iter().find(|row| row["site"] == name).expect("the site");
    assert_eq!(
        (&site(shop)["sent_on_a_hop"], &site(shop)["tokens_taken"], &site(shop)["tokens_refused"]),
        (&2.into(), &2.into(), &1.into())
    );
    assert_eq!(
        (&site(learn)["tokens_taken"], &site(learn)["circuit"], &site(brand)["circuit"]),
        (&2.into(), &"closed".into(), &Value::Null)
    );
    let store = rows(&watched, "store");
    assert_eq!((&store[0]["state"], &store[0]["records"], &store[0]["lost"]), (&"ok".into(), &3.into(), &0.into()));

    // CSV says the same as JSON.
    for name in ["matrix", "hops", "latency", "sources", "sites", "store"] {
        let (json, csv) = (rows(&watched, name), csv(&watched.get(&format!("/{name}.csv"))));
        assert_eq!(csv.len(), json.len() + 1, "{name}");
        for (row, cells) in json.iter().zip(&csv[1..]) {
            for (column, cell) in csv[0].iter().zip(cells) {
                let expected = match &row[column.as_str()] {
                    Value::Null => String::new(),
                    Value::String(text) => text.clone(),
                    other => other.to_string(),
                };
                // Time goes on between the two.
                assert!(
                    *cell == expected || column == "key_age_seconds" || name == "store",
                    "{name} {column}: {cell} {expected}"
                );
            }
        }
    }
    // And so does the page.
    let page = watched.get("/").text();
    assert!(page.contains("1 of 2 visitors of"), "{page}");
    assert!(page.contains("From all 3 records"), "{page}");
    for name in ["matrix", "hops", "latency", "sources", "sites", "store"] {
        assert!(page.contains(&format!("href=\"/{name}.json\"")) && page.contains(&format!("href=\"/{name}.csv\"")), "{name}");
    }
}

/// What visitors bring along is shown as words, in pages and in spreadsheets.
#[test]
fn b7_hostile_sources_are_words_and_not_code() {
    const HOSTILE: [&str; 5] =
        ["<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "=cmd|'/c calc'!A0", "-SUM(A1)", "{{7*7}}"];
    let watched = start();
    for text in HOSTILE {
        let coded: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let mut browser = Browser::new();
        browser.set("Referer", "https://xn--e1afmkfd.example/<script>");
        browser.navigate(&format!("{}/?utm_campaign={coded}", watched.company.shop));
    }
    sampled(&watched, 5);
    let sources = rows(&watched, "sources");
    let campaigns: Vec<_> =
        sources.iter().filter(|row| row["kind"] == "campaign").map(|row| row["source"].as_str().unwrap()).collect();
    assert!(campaigns.contains(&"=cmd|'/c calc'!A0") && campaigns.len() == HOSTILE.len(), "{campaigns:?}");
    let page = watched.get("/").text();
    for word in ["<script", "<img", "onerror=alert(1)>", ">49<"] {
        assert!(!page.contains(word), "{word} in {page}");
    }
    assert!(page.contains("&#60;script&#62;alert(1)&#60;/script&#62;") || page.contains("&lt;script&gt;alert(1)"), "{page}");
    for row in csv(&watched.get("/sources.csv")) {
        assert!(!row[1].starts_with(['=', '@', '+', '-']), "{row:?}");
    }
}

#[test]
fn the_page_lets_a_browser_load_nothing_from_elsewhere() {
    let watched = start();
    let answer = watched.get("/");
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let policy = answer.header("content-security-policy").expect("a policy");
    for part in ["default-src 'none'", "style-src 'sha256-", "img-src 'self'", "frame-ancestors 'none'", "form-action 'none'"] {
        assert!(policy.contains(part), "{part} in {policy}");
    }
    let page = answer.text();
    for word in ["<script", " style=", "http-equiv", "@import", "url("] {
        assert!(!page.contains(word), "{word} in {page}");
    }
    for link in page.split(" href=\"").skip(1) {
        assert!(link.starts_with('/') && !link.starts_with("//"), "{link}");
    }
    assert!(!page.contains(" src="));
}

#[test]
fn a_satellite_says_where_to_look() {
    let (setup, admin) = crate::watched::with_admin(Setup::default());
    let mut company = crate::support::company::Company::start_without_broker(setup);
    let page = crate::watched::get(admin, "localhost", "/").text();
    assert!(page.contains("Satellites for") && page.contains("The broker keeps the records"), "{page}");
    assert!(!page.contains("/matrix.json") && !page.contains("/store.json"));
    for path in ["/matrix.json", "/store.csv", "/sources.json", "/matrix.xml", "/x.json", "/.json"] {
        assert_eq!(crate::watched::get(admin, "localhost", path).status, 404, "{path}");
    }
    company.processes[0].kill();
}
