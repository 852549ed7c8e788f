//! Layer 8: the composition root. Joins broker, satellite and configuration into a node, and puts it in front of an
//! actix-web application.

pub mod admin;
pub mod bodies;
pub mod connection;
pub mod connections;
mod descriptors;
pub mod ended;
pub mod ending;
pub mod endpoint;
pub mod forward;
mod key_files;
pub mod launch;
pub mod middleware;
pub mod node;
pub mod recording;
pub mod reload;
pub mod roles;
pub mod serving;
mod stream;
pub mod tls;
