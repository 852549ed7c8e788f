//! Looks through the store for damage, at the start and once a day (rule A11).

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::record_writer::RecordWriter;
use super::visitors::{StoreFault, VisitorStore};

/// From one examination to the next, and while the store is damaged or unavailable.
const INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);
const INTERVAL_AFTER_FAULT: Duration = Duration::from_secs(10);

/// Examines the store and tells the writer, which reports the store's status. It never ends.
pub async fn examine(store: Arc<dyn VisitorStore>, writer: RecordWriter) {
    loop {
        let pause = match store.examine().await {
            Ok(()) => {
                writer.note_whole();
                INTERVAL
            }
            Err(fault @ StoreFault::Damaged(_)) => {
                writer.note_fault(&fault);
                INTERVAL_AFTER_FAULT
            }
            // The writer finds out by itself.
            Err(_) => INTERVAL_AFTER_FAULT,
        };
        sleep(pause).await;
    }
}
