//! Patience, with an end.

use std::time::Duration;

/// How long anything may take that should happen at once.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Polls until `attempt` has an answer, and fails after ten seconds without one.
pub(crate) async fn eventually<T>(what: &str, mut attempt: impl AsyncFnMut() -> Option<T>) -> T {
    let polling = async {
        loop {
            if let Some(answer) = attempt().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let answer = tokio::time::timeout(PATIENCE, polling).await;
    answer.unwrap_or_else(|_| panic!("waited {PATIENCE:?} in vain for: {what}"))
}
