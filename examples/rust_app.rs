//! An actix-web application with Throughline in front of it.
//!
//! ```console
//! throughline init --profile localhost --consent implied --folder /tmp/try \
//!     --primary http://brand.localhost:8400 --site http://shop.localhost:8400
//! cargo run --example rust_app -- /tmp/try/throughline.toml
//! ```
//!
//! Then open `http://shop.localhost:8400/`, and after that `http://brand.localhost:8400/`: one visitor, one ID.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;

use actix_web::{HttpResponse, Responder, web};
use throughline::app::launch::Launch;
use throughline::config::Config;
use throughline::http::event::Log;
use throughline::http::visitor::Visitor;

async fn page(visitor: Visitor) -> impl Responder {
    match visitor.id() {
        Some(id) => HttpResponse::Ok().body(format!("You are {id}.")),
        None => HttpResponse::Ok().body("We do not know you, and that is fine."),
    }
}

/// The application's own routes, as it would have them without Throughline.
fn routes(app: &mut web::ServiceConfig) {
    app.route("/", web::get().to(page));
}

fn main() -> Result<(), Box<dyn Error>> {
    let file = PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| "throughline.toml".into()));
    let config = Config::load(&file, &|name| std::env::var(name).ok()).map_err(|report| report.to_string())?;
    // `Launch` binds the addresses of the file, puts the middleware around the routes, and watches the broker and the keys.
    let launch = Launch::new(config, Arc::new(Log))?;
    let serving = launch.run(routes, |addresses| println!("listening on {addresses:?}"));
    Ok(actix_web::rt::System::new().block_on(serving)?)
}
