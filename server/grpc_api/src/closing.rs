//! The moment at which the door closes: calls that are under way end, streams take no more requests.

use tokio::sync::watch;

/// Waits until the door closes.
pub(crate) async fn closed(mut closing: watch::Receiver<bool>) {
    // An error means that the door is gone.
    let _ = closing.wait_for(|closing| *closing).await;
}
