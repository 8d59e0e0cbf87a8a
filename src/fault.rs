//! A mistake on demand: what a panic shows, and what it leaves behind, can only be looked at where there is one.
//!
//! `kill -USR2` makes the screens, or an engine in the background, of a debug build panic. A release build does not listen: the
//! signal ends it there, as it ends every program that knows nothing of it (signal(7)).

/// Panics in a debug build as soon as SIGUSR2 comes; else it never ends.
///
/// # Panics
/// That is what it is for.
pub async fn on_demand() {
    #[cfg(debug_assertions)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut asked) = signal(SignalKind::user_defined2())
            && asked.recv().await.is_some()
        {
            panic!("SIGUSR2 asked for a mistake");
        }
    }
    std::future::pending::<()>().await;
}
