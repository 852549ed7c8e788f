//! Certificates and names: what a browser would stop at.

use std::net::{IpAddr, Ipv4Addr};

use rcgen::date_time_ymd;

use crate::deployment::{Authority, Deployment, HOSTS};
use crate::proxy::Mistake;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

#[test]
fn an_authority_that_browsers_do_not_know() {
    let company = Deployment::shared();
    let url = format!("https://shop.test:{}/p.html", company.port);
    company.examine(&url, [HERE, HERE], false).fails(&[("tls", "--ca-file")]);
}

#[test]
fn a_certificate_of_another_authority_at_the_broker() {
    let company = Deployment::shared();
    let broker = company.proxy(Authority::new("Another authority").server(&HOSTS, |_| ()), Mistake::none());
    let url = format!("https://shop.test:{}/p.html", company.port);
    let report = company.examine(&url, [HERE, broker.ip()], true);
    report.fails(&[("tls", "Send the whole chain")]);
    assert!(report.text.contains(&format!("failed   tls: https://www.brand.test:{}", company.port)), "{}", report.text);
}

#[test]
fn a_certificate_that_has_expired() {
    let company = Deployment::shared();
    let expired = company.authority.server(&HOSTS, |params| {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 1, 1);
    });
    let proxy = company.proxy(expired, Mistake::none());
    let report = company.examine_at(proxy.ip());
    report.fails(&[("tls", "Renew the certificate")]);
    assert!(report.text.contains("the certificate has expired"), "{}", report.text);
}

#[test]
fn a_certificate_for_another_name() {
    let company = Deployment::shared();
    let proxy = company.proxy(company.authority.server(&["other.test"], |_| ()), Mistake::none());
    let report = company.examine_at(proxy.ip());
    report.fails(&[("tls", "picks it by SNI")]);
}

#[test]
fn nobody_answers_there() {
    let company = Deployment::shared();
    // No proxy has this address.
    let nobody = IpAddr::V4(Ipv4Addr::new(127, 0, 78, 1));
    let report = company.examine_at(nobody);
    report.fails(&[("dns", "Start the server there")]);
    assert!(report.text.contains("connection refused"), "{}", report.text);
}

#[test]
fn a_name_that_does_not_resolve() {
    let report = crate::report::Report::of(&[], &["https://throughline-doctor.invalid/"]);
    report.fails(&[("dns", "Add an A or AAAA record")]);
}
