//! Follows the key files of the served sites.

use std::sync::Arc;
use std::time::Duration;

use super::node::Node;

/// How often a changed key file is noticed.
const KEY_FILE_INTERVAL: Duration = Duration::from_secs(5);

/// Reads key files again when they change. It never ends.
pub(super) async fn watch_key_files(node: Arc<Node>) {
    loop {
        actix_web::rt::time::sleep(KEY_FILE_INTERVAL).await;
        for served in node.sites() {
            match served.keys.refresh() {
                Ok(true) => tracing::info!(site = served.site.origin.as_str(), "its key file was read again"),
                Ok(false) => {}
                Err(mistake) => {
                    tracing::error!(site = served.site.origin.as_str(), %mistake, "the keys that were read before stay in use")
                }
            }
        }
    }
}
