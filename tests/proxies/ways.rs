//! What nginx does around the question to the satellite, in every way to reach an application (F5).

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use crate::asking::NAVIGATION;
use crate::running::{App, caddy_with};
use crate::spoofing::SPELLINGS;
use crate::support::browser::Browser;
use crate::support::process::free_port;
use crate::support::wire;
use crate::world::{USUAL, World, ask, authority, shown};

/// Every way. The application behind Caddy is not asked here.
const WAYS: [App; 4] = [App::Python, App::Php, App::Uwsgi, App::Scgi];

/// Locations that reach the application by a detour, with the lines that every location has.
fn locations(app: App) -> String {
    let pass = app.pass();
    format!(
        "location = /unasked {{ satisfy any; allow all; {pass} }}\n\
         location = /rewritten {{ rewrite ^ /elsewhere last; }}\n\
         location = /elsewhere {{ {pass} }}\n\
         location = /lost {{ root /nonexistent; error_page 404 = @lost; }}\n\
         location @lost {{ {pass} }}\n\
         location = /tried {{ root /nonexistent; try_files $uri /elsewhere; }}\n"
    )
}

/// A client says that it is somebody; nginx has asked, or not, or has come by a detour.
#[test]
fn f5_a_detour_of_nginx_lets_no_client_lie() {
    for app in WAYS {
        let mut world = World::start_with_locations((app, App::Node), &locations(app), "");
        let shop = world.shop.clone();
        let mut browser = Browser::new();
        browser.navigate(&format!("{shop}/p"));
        let visitor = browser.visitor(&shop).expect("a visitor");
        let forged = "X-Throughline-Visitor: 11111111-1111-4111-8111-111111111111\r\nX-Throughline-Source: link\r\n";
        let cookie = format!("Cookie: throughline={}\r\n", browser.cookie(&shop, "throughline").expect("a local cookie"));
        let told = |path: &str, cookie: &str| {
            let page = ask(&shop, "GET", path, &format!("{forged}{cookie}"), b"");
            assert_eq!(page.status, 200, "{app:?} {path}: {page:?}");
            (shown(&page, "visitor"), shown(&page, "source"))
        };
        let none = ("none".to_owned(), "none".to_owned());
        for path in ["/rewritten", "/lost", "/tried"] {
            assert_eq!(told(path, &cookie), (visitor.clone(), "broker".to_owned()), "{app:?} {path}");
            assert_eq!(told(path, ""), none, "{app:?} {path}");
        }
        assert_eq!(told("/unasked", &cookie), none, "{app:?}: nginx let the request through without a question");
        world.kill_satellite();
        for path in ["/rewritten", "/lost", "/tried", "/unasked"] {
            assert_eq!(told(path, &cookie), none, "{app:?} {path}");
        }
    }
}

/// A hop, the application's own 401, and a body, as with `proxy_pass`.
#[test]
fn f5_f3_a_hop_a_401_and_a_body_in_every_way() {
    for app in WAYS {
        let world = World::start((app, App::Node));
        let shop = &world.shop;
        let mut browser = Browser::new();
        let page = format!("{shop}/p;v=1/?q=a%20b&&x=[1]|2#frag");
        let visit = browser.navigate(&page);
        assert_eq!((visit.statuses(), visit.url()), (vec![302, 302, 303, 200], page.as_str()), "{app:?}: {visit:#?}");
        assert_eq!(Some(shown(visit.page(), "visitor")), browser.visitor(shop));
        let refused = ask(shop, "GET", "/private", "", b"");
        assert_eq!((refused.status, refused.header("www-authenticate")), (401, Some("Basic realm=\"site\"")), "{app:?}");
        let seen = ask(shop, "POST", "/seen?x=%20", "Content-Length: 3\r\nContent-Type: text/plain\r\n", b"abc").json();
        assert_eq!((&seen["received"], &seen["query"]), (&3.into(), &"x=%20".into()), "{app:?}: {seen}");
        // A page that sets our cookie must not be stored by a shared cache; otherwise the application decides.
        let own = NAVIGATION.replace("Site: none", "Site: same-origin");
        let probed = ask(shop, "GET", "/p", &format!("{own}Accept-Language: x-probe\r\n"), b"");
        assert!(probed.all("set-cookie").any(|cookie| cookie.starts_with("throughline=probe;")), "{app:?}: {probed:?}");
        assert_eq!(probed.all("cache-control").collect::<Vec<_>>(), ["private, no-cache"], "{app:?}");
        let plain = ask(shop, "GET", "/p", "", b"");
        assert_eq!(plain.all("cache-control").collect::<Vec<_>>(), ["public, max-age=60"], "{app:?}");
    }
}

/// The application of a gRPC site sees the visitor and no lie: nginx itself stands in its place, since it speaks HTTP/2.
#[test]
fn f5_grpc_pass_tells_the_visitor_and_no_client_lies() {
    let port = free_port();
    let location = format!("location = /grpc {{ include throughline/grpc.conf; grpc_pass grpc://127.0.0.1:{port}; }}");
    let application = format!(
        "server {{ listen 127.0.0.1:{port} http2; underscores_in_headers on; default_type text/plain; location / {{ return 200 \
         '<b id=\"visitor\">$http_x_throughline_visitor</b><b id=\"source\">$http_x_throughline_source</b>'; }} }}\n"
    );
    let world = World::start_with_locations((App::Python, App::Node), &location, &application);
    let mut browser = Browser::new();
    browser.navigate(&format!("{}/p", world.shop));
    let cookie = format!("Cookie: throughline={}\r\n", browser.cookie(&world.shop, "throughline").expect("a local cookie"));
    let forged = "X-Throughline-Visitor: forged\r\nX-THROUGHLINE-SOURCE: forged\r\n";
    let known = ask(&world.shop, "GET", "/grpc", &format!("{forged}{cookie}"), b"");
    assert_eq!(browser.visitor(&world.shop), Some(shown(&known, "visitor")), "{known:?}");
    let unknown = ask(&world.shop, "GET", "/grpc", forged, b"");
    assert_eq!((unknown.status, shown(&unknown, "visitor"), shown(&unknown, "source")), (200, String::new(), String::new()));
}

/// `php_fastcgi` after Caddy's own `forward_auth` with `copy_headers`, the short form that docs/proxies.md names.
#[test]
fn f5_php_behind_the_short_form_of_caddy_is_told_the_visitor_and_no_client_lies() {
    let world = World::start(USUAL);
    let folder = tempfile::tempdir().expect("a folder");
    let (app, port) = (free_port(), free_port());
    let _php = App::Php.start(folder.path(), app).expect("php-fpm");
    let caddyfile = format!(
        "{{\n\tadmin off\n\tauto_https off\n\tdefault_bind 127.0.0.1\n}}\nhttp://:{port} {{\n\troot * {}\n\troute {{\n\
         \t\trequest_header -*Throughline*\n\t\tforward_auth 127.0.0.1:{} {{\n\t\t\turi /_throughline/auth/forward\n\
         \t\t\tcopy_headers X-Throughline-Visitor X-Throughline-Source\n\t\t}}\n\t\tphp_fastcgi 127.0.0.1:{app}\n\t}}\n}}\n",
        folder.path().join("php").display(),
        world.satellite_port()
    );
    let _caddy = caddy_with(folder.path(), port, &caddyfile).expect("Caddy");
    let mut browser = Browser::new();
    browser.navigate(&format!("{}/p", world.learn));
    let visitor = browser.visitor(&world.learn).expect("a visitor");
    let cookie = format!("Cookie: throughline={}\r\n", browser.cookie(&world.learn, "throughline").expect("a local cookie"));
    for name in SPELLINGS {
        for (cookie, expected) in [(cookie.as_str(), visitor.as_str()), ("", "none")] {
            let host = authority(&world.learn);
            let request = format!("GET /p HTTP/1.1\r\nHost: {host}\r\n{name}: forged\r\n{cookie}Connection: close\r\n\r\n");
            let page = wire::send(port, request.as_bytes()).expect("an answer");
            assert_eq!((page.status, shown(&page, "visitor").as_str()), (200, expected), "{name}: {page:?}");
            assert!(!page.text().contains("forged"), "{name}: {page:?}");
        }
    }
}

/// The files as they are shipped, in the places that their heads name, pass nginx's own check.
#[test]
fn f5_the_shipped_files_pass_the_check_of_nginx() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    let examples = format!("{}/examples/nginx", env!("CARGO_MANIFEST_DIR"));
    symlink(format!("{examples}/throughline"), at.join("throughline")).expect("a link");
    for parameters in ["fastcgi_params", "uwsgi_params", "scgi_params"] {
        symlink(format!("/etc/nginx/{parameters}"), at.join(parameters)).expect("a link");
    }
    // Only root may bind port 80, and the check binds.
    let port = free_port();
    let sites = fs::read_to_string(format!("{examples}/sites.conf")).expect("a file");
    let sites = sites.replace("listen 80;", &format!("listen 127.0.0.1:{port};"));
    let primary = format!(
        "server {{ listen 127.0.0.1:{port}; server_name www.brand.example; include throughline/primary.conf; location / {{ \
         include throughline/proxy.conf; proxy_pass http://127.0.0.1:9000; }} }}"
    );
    let place = at.display();
    let temporary: String =
        ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(|kind| format!("{kind}_temp_path {place}/{kind};\n")).concat();
    let whole = format!(
        "pid {place}/pid;\nevents {{}}\nhttp {{\naccess_log off;\n{temporary}include {examples}/throughline.conf;\n\
         {sites}\n{primary}\n}}\n"
    );
    let file = at.join("nginx.conf");
    fs::write(&file, whole).expect("a file");
    let checked = Command::new("nginx").args(["-t", "-e"]).arg(at.join("errors")).arg("-c").arg(&file).output().expect("nginx");
    let said = String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success() && !said.contains("[warn]"), "{said}");
}
