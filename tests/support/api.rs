//! The company's own servers: they ask the broker's API with a site's key.

use super::address;
use super::company::Company;
use super::wire::{Answer, send};

impl Company {
    /// Asks the broker's API for `site`. `path` is behind `/_throughline/api/`.
    pub(crate) fn api(&self, site: &str, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let key = self.folder.secret(site).api_key();
        let bearer = format!("Bearer {}", key.as_str());
        let headers: Vec<_> = headers.iter().copied().chain([("Authorization", bearer.as_str())]).collect();
        self.api_without_key(method, path, &headers, body)
    }

    /// The same, with the headers that are given and no others.
    pub(crate) fn api_without_key(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let host = address::authority(&self.brand);
        let mut request = format!("{method} /_throughline/api/{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n");
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
        send(self.broker_port(), request.as_bytes()).unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    /// The record of a visitor, as `site` may see it.
    pub(crate) fn record(&self, site: &str, visitor: &str) -> Option<serde_json::Value> {
        let answer = self.api(site, "GET", &format!("visitors/{visitor}"), &[], "");
        match answer.status {
            200 => Some(answer.json()),
            404 => None,
            other => panic!("{other}: {}", answer.text()),
        }
    }
}
