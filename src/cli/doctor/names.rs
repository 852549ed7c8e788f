//! The names of all checks of `doctor`. They are stable; `docs/doctor.md` says what each means.

pub(super) const DNS: &str = "dns";
pub(super) const TLS: &str = "tls";
pub(super) const HEALTH: &str = "health";
pub(super) const HTTPS_ONLY: &str = "https-only";
pub(super) const HOST_KEPT: &str = "host-kept";
pub(super) const ENDPOINTS: &str = "endpoints";
pub(super) const PAGE: &str = "page";
pub(super) const REFERRER_POLICY: &str = "referrer-policy";
pub(super) const CONTENT_POLICY: &str = "content-policy";
pub(super) const SITE_DATA: &str = "site-data";
pub(super) const SERVICE_WORKER: &str = "service-worker";
pub(super) const FETCH_METADATA: &str = "fetch-metadata";
pub(super) const JWKS: &str = "jwks";
pub(super) const SDK: &str = "sdk";
pub(super) const ME_PRIVATE: &str = "me-private";
pub(super) const GO_CLOSED: &str = "go-closed";
pub(super) const AUTH_CLOSED: &str = "auth-closed";
pub(super) const ERROR_PAGES: &str = "error-pages";
pub(super) const CONSENT: &str = "consent";
pub(super) const METADATA: &str = "metadata";
pub(super) const API_CLOSED: &str = "api-closed";
pub(super) const CLOCK_SKEW: &str = "clock-skew";
pub(super) const HOP_STARTS: &str = "hop-starts";
pub(super) const CDN_CACHE: &str = "cdn-cache";
pub(super) const HOP_STATUS: &str = "hop-status";
pub(super) const NO_STORE: &str = "no-store";
pub(super) const VARY: &str = "vary";
pub(super) const REFERRER_KEPT: &str = "referrer-kept";
pub(super) const OPENER_KEPT: &str = "opener-kept";
pub(super) const RIGHT_PAGE: &str = "right-page";
pub(super) const URL_KEPT: &str = "url-kept";
pub(super) const LONG_URL: &str = "long-url";
pub(super) const SET_COOKIE: &str = "set-cookie";
pub(super) const HOP_COOKIE: &str = "hop-cookie";
pub(super) const BROKER_HOP: &str = "broker-hop";
pub(super) const MASTER_COOKIE: &str = "master-cookie";
pub(super) const PARAMETER_KEPT: &str = "parameter-kept";
pub(super) const RETURN: &str = "return";
pub(super) const LOCAL_COOKIE: &str = "local-cookie";
pub(super) const KNOWN_PAGE: &str = "known-page";
pub(super) const KNOWN_VISITOR: &str = "known-visitor";
pub(super) const NO_LOOP: &str = "no-loop";
pub(super) const PREFETCH: &str = "prefetch";
pub(super) const CRAWLER: &str = "crawler";
pub(super) const GPC: &str = "gpc";
pub(super) const POST: &str = "post";
pub(super) const SPOOFED_HEADERS: &str = "spoofed-headers";
pub(super) const FORWARDED_HOST: &str = "forwarded-host";
pub(super) const FORM_ACTION: &str = "form-action";
pub(super) const STRICT_COOKIES: &str = "strict-cookies";
pub(super) const FORGET: &str = "forget";
pub(super) const REVOCATION: &str = "revocation";

/// All of them, in the order in which they are looked at.
pub(super) const ALL: [&str; 52] = [
    DNS,
    TLS,
    HEALTH,
    HTTPS_ONLY,
    HOST_KEPT,
    ENDPOINTS,
    PAGE,
    REFERRER_POLICY,
    CONTENT_POLICY,
    SITE_DATA,
    SERVICE_WORKER,
    FETCH_METADATA,
    JWKS,
    SDK,
    ME_PRIVATE,
    GO_CLOSED,
    AUTH_CLOSED,
    ERROR_PAGES,
    CONSENT,
    METADATA,
    API_CLOSED,
    CLOCK_SKEW,
    HOP_STARTS,
    CDN_CACHE,
    HOP_STATUS,
    NO_STORE,
    VARY,
    REFERRER_KEPT,
    OPENER_KEPT,
    RIGHT_PAGE,
    SET_COOKIE,
    HOP_COOKIE,
    BROKER_HOP,
    MASTER_COOKIE,
    PARAMETER_KEPT,
    RETURN,
    LOCAL_COOKIE,
    KNOWN_PAGE,
    KNOWN_VISITOR,
    URL_KEPT,
    LONG_URL,
    NO_LOOP,
    PREFETCH,
    CRAWLER,
    GPC,
    POST,
    SPOOFED_HEADERS,
    FORWARDED_HOST,
    FORM_ACTION,
    STRICT_COOKIES,
    FORGET,
    REVOCATION,
];
