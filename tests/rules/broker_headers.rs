//! B7: what every answer of the broker says, whatever it answers.

use crate::sign::{hop_pairs, hop_url, signed};
use crate::support::browser::Browser;
use crate::support::company::Company;
use crate::support::files::Setup;
use crate::support::wire::Answer;

fn answers(company: &Company) -> Vec<(&'static str, Answer)> {
    let brand = &company.brand;
    let ours = |path: &str| format!("{brand}/_throughline/{path}");
    let good = signed(company, &hop_pairs(company, &format!("{}/p", company.shop)));
    let mut browser = Browser::new();
    let mut scripted = Browser::new();
    let mut cross = Browser::new();
    cross.set("Sec-Fetch-Site", "cross-site");
    let mut early = Browser::new();
    early.set("Early-Data", "1");
    let large = format!(r#"{{"choice":"{}"}}"#, "x".repeat(70_000));
    vec![
        ("a hop", browser.step(&hop_url(company, &good), None)),
        ("a refused hop", browser.step(&hop_url(company, &good[..good.len() - 1]), None)),
        ("an unknown site", browser.step(&hop_url(company, "site=x"), None)),
        ("no navigation", scripted.fetch(&hop_url(company, &good))),
        ("whoami, or that it is closed", scripted.fetch(&ours("whoami"))),
        ("me", scripted.fetch(&ours("me"))),
        ("me from elsewhere", cross.fetch(&ours("me"))),
        ("health", scripted.fetch(&ours("health"))),
        ("a link out", browser.step(&ours("go?to=http%3A%2F%2Fevil.localhost%2F"), None)),
        ("a link in", browser.step(&ours(&format!("go?to={}%2F", crate::sign::encode(&company.shop))), None)),
        ("nothing there", scripted.fetch(&ours("nothing"))),
        ("nothing for the primary", scripted.fetch(&ours("exchange"))),
        ("the wrong method", scripted.post(&ours("hop"), "{}")),
        ("a choice", scripted.post(&ours("consent"), r#"{"choice":"granted"}"#)),
        ("no choice", scripted.post(&ours("consent"), "{}")),
        ("too large", scripted.post(&ours("consent"), &large)),
        ("a choice from elsewhere", cross.post(&ours("consent"), r#"{"choice":"denied"}"#)),
        ("forget", scripted.post(&ours("forget"), "{}")),
        ("too early", early.step(&format!("{brand}/p?_tl=x"), None)),
    ]
}

#[test]
fn b7_nothing_is_kept_indexed_or_foreign() {
    for company in [Company::echoing(Setup::default()), Company::echoing(Setup::with_whoami())] {
        let answers = answers(&company);
        let statuses: std::collections::BTreeSet<_> = answers.iter().map(|(_, answer)| answer.status).collect();
        assert!([200, 302, 400, 403, 404, 405, 413, 422, 425].iter().all(|status| statuses.contains(status)), "{statuses:?}");
        for (what, answer) in answers {
            assert_eq!(answer.header("cache-control"), Some("no-store"), "{what}: {answer:?}");
            assert_eq!(answer.header("x-robots-tag"), Some("noindex"), "{what}");
            assert!(answer.status < 500, "{what}");
            if answer.header("location").is_some() {
                assert_eq!(answer.header("cross-origin-opener-policy"), Some("unsafe-none"), "{what}");
            }
            let kind = answer.header("content-type").unwrap_or_default();
            let text = answer.text();
            assert!(kind.is_empty() == text.is_empty(), "{what}: {kind} {text}");
            if !text.is_empty() {
                assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{what}");
            }
            if kind.starts_with("text/html") {
                let policy = answer.header("content-security-policy").unwrap_or_else(|| panic!("{what} has no policy"));
                for part in ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"] {
                    assert!(policy.contains(part), "{what}: {policy}");
                }
                // The way back is the site's own.
                let foreign = text.replace(&company.brand, "");
                assert!(!foreign.contains("//") && !text.contains("<script") && !text.contains("src="), "{what}: {text}");
            }
        }
    }
}

/// The two documents that others must be able to keep: K1 rests on their max-age.
#[test]
fn b7_k1_public_documents_are_kept_for_five_minutes() {
    let company = Company::echoing(Setup::default());
    for url in [
        format!("{}/.well-known/throughline", company.brand),
        format!("{}/_throughline/jwks.json", company.brand),
        format!("{}/_throughline/jwks.json", company.shop),
    ] {
        let answer = Browser::new().fetch(&url);
        assert_eq!(answer.status, 200, "{url}");
        assert_eq!(answer.header("cache-control"), Some("public, max-age=300"), "{url}");
        assert_eq!(answer.header("x-robots-tag"), Some("noindex"), "{url}");
        assert_eq!(answer.header("set-cookie"), None, "{url}");
        assert!(!answer.text().contains("\"d\""), "{url}: no private key");
    }
    let metadata = Browser::new().fetch(&format!("{}/.well-known/throughline", company.brand)).json();
    assert_eq!(metadata["issuer"], company.brand);
    assert_eq!(metadata["sites"].as_array().unwrap().len(), 2);
    assert_eq!(metadata.get("whoami_endpoint"), None);
}
