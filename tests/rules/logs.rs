//! R8: what nobody reads in a log or on an error page.

use crate::arrival::up_to_the_token;
use crate::sign::{encode, hop_pairs, hop_url, signed};
use crate::support::browser::{Browser, Visit};
use crate::support::company::Company;
use crate::support::files::Setup;

#[test]
fn r8_neither_tokens_nor_visitor_ids_reach_the_log_or_an_error_page() {
    let mut company = Company::start(Setup { log: "info", ..Setup::with_whoami() });
    let mut secrets = vec!["_tl=".to_owned()];
    let mut errors = Vec::new();
    let take = |visit: &Visit, secrets: &mut Vec<String>| {
        secrets.extend(
            visit
                .steps
                .iter()
                .filter_map(|step| Some(step.url.split_once("_tl=")?.1.to_owned()))
                .filter(|token| !token.is_empty()),
        );
        secrets.extend(visit.cookies().into_iter().map(|(_, cookie)| cookie.value).filter(|value| value.len() > 20));
    };

    // A visitor on all three sites, by hops and by a link, and back with what was used already.
    let mut browser = Browser::new();
    let visit = browser.navigate(&format!("{}/?x=1", company.shop));
    assert_eq!(visit.statuses(), [302, 302, 303, 200]);
    take(&visit, &mut secrets);
    let used = visit.steps[2].url.clone();
    take(&browser.navigate(&used), &mut secrets);
    let link = format!("{}/_throughline/go?to={}", company.shop, encode(&format!("{}/p.html", company.learn)));
    take(&browser.follow_from(&company.shop, &link), &mut secrets);
    for site in [&company.brand, &company.shop, &company.learn] {
        secrets.push(browser.visitor(site).expect("an ID"));
    }
    let begun = browser.fetch(&format!("{}/_throughline/exchange", company.shop)).json();
    let asked = browser.request("GET", begun["whoami"].as_str().unwrap(), &[("Origin", company.shop.clone())], b"");
    let token = asked.json()["token"].as_str().expect("a token").to_owned();
    browser.post(&format!("{}/_throughline/exchange", company.shop), &format!(r#"{{"token":"{token}"}}"#));
    secrets.push(token.clone());

    // Errors of every kind, with a good token and an ID in all that a client can write.
    let mut other = Browser::new();
    let good = up_to_the_token(&mut other, &format!("{}/", company.shop));
    let good = good.split_once("_tl=").unwrap().1.to_owned();
    let visitor = secrets.last().unwrap().clone();
    secrets.push(good.clone());
    for wrong in [
        format!("{good}&_tl=x"),
        format!("x{good}"),
        good.replace('.', "/"),
        format!("{good}{good}{good}{good}"),
        good[..good.len() - 1].to_owned(),
    ] {
        errors.push(other.step(&format!("{}/nothing?_tl={wrong}", company.shop), None));
    }
    other.set("Early-Data", "1");
    errors.push(other.step(&format!("{}/?_tl={good}", company.shop), None));
    other.restore("Early-Data");
    let unknown = format!("site={good}&_tl={good}&return={visitor}");
    errors.push(other.step(&hop_url(&company, &unknown), None));
    errors.push(other.fetch(&hop_url(&company, &signed(&company, &hop_pairs(&company, &format!("{}/?y={good}", company.shop))))));
    for path in [format!("go?to={good}"), good.clone(), format!("whoami?_tl={good}"), format!("me/{visitor}?_tl={good}")] {
        for site in [&company.brand, &company.shop] {
            errors.push(other.step(&format!("{site}/_throughline/{path}"), None));
        }
    }
    for path in ["consent", "forget", "exchange", "hop"] {
        for body in [
            format!(r#"{{"token":"{good}x","choice":"{visitor}"}}"#),
            good.clone(),
            format!(r#"{{"token":"{}"}}"#, good.repeat(12)),
        ] {
            errors.push(other.clone().post(&format!("{}/_throughline/{path}", company.shop), &body));
        }
    }
    let refused = errors.iter().filter(|answer| answer.status >= 400).count();
    assert!(refused >= 15, "{refused} errors");
    for answer in &errors {
        assert!(answer.status < 500, "{answer:?}");
        for secret in &secrets[1..] {
            assert!(!answer.text().contains(secret.as_str()), "{secret} in {answer:?}");
        }
    }

    company.processes[0].kill();
    let said = company.stderr();
    assert!(said.contains("listening"), "{said}");
    assert!(secrets.len() > 10);
    for secret in secrets.iter().map(String::as_str).chain([&good[..40], &visitor[..13], &token[token.len() - 40..]]) {
        assert!(!said.contains(secret), "{secret:?} in:\n{said}");
    }
}
