//! What a process knows of its own runs and of its lake, for everything that shows it: made once, fed by events, and
//! read anew from the ledger when a run has got further.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::clock::Clock;
use crate::config::Config;
use crate::model::event::Events;
use crate::model::words::words;
use crate::report::Live;
use crate::status::Board;

/// How often the lake is looked at while a run is under way.
const DURING_A_RUN: Duration = Duration::from_secs(30);
/// How often it is looked at otherwise: days become due, and other processes write.
const BETWEEN_RUNS: Duration = Duration::from_secs(300);
/// Days of coverage that are shown.
const SHOWN_DAYS: u16 = 90;

/// What a process knows of its runs and its lake. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Watch {
    /// What is being done now.
    pub live: Live,
    /// What stands.
    pub board: Arc<Board>,
}

impl Watch {
    /// Knows nothing yet.
    pub fn new(config: &Config, clock: &Clock) -> Self {
        let board = Board::new(Arc::new(config.clone()), clock.clone(), SHOWN_DAYS);
        Self { live: Live::new(clock.clone()), board: Arc::new(board) }
    }

    /// Hears the events of runs.
    pub fn events(&self) -> Events {
        self.live.events()
    }

    /// Looks at the lake. That it cannot be read is told, and what was known stands.
    pub async fn look(&self) {
        if let Err(error) = self.board.refresh().await {
            tracing::warn!("the lake cannot be looked at, so what is shown of it is old: {}", words(&error));
        }
    }

    /// Looks at the lake again and again, for as long as it is polled: when a run begins or ends, and from time to time.
    pub async fn keep_looking(&self) {
        let mut changes = self.live.changes();
        let mut running = None;
        loop {
            self.look().await;
            let interval = if running.is_some() { DURING_A_RUN } else { BETWEEN_RUNS };
            let until = Instant::now() + interval;
            loop {
                tokio::select! {
                    () = tokio::time::sleep_until(until) => break,
                    changed = changes.changed() => {
                        let now = self.live.doing().run.map(|run| run.run);
                        if changed.is_err() || now != running {
                            running = now;
                            break;
                        }
                    }
                }
            }
        }
    }
}
