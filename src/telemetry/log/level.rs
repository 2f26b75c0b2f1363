//! The level of the log while the daemon runs. What somebody turned up falls back by itself, so that a
//! disk is not filled by a question that was answered long ago.

use std::{
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use tokio::time::Instant;
use tracing_subscriber::EnvFilter;

use super::{InvalidFilter, filter};

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
/// Longer than any list of levels that a person writes.
const BYTES_MAX: usize = 512;

/// Puts a filter in force; false where there is nobody to obey it.
type Apply = Box<dyn Fn(EnvFilter) -> bool + Send + Sync>;

/// What the log says now, and what it goes back to.
pub struct LogLevel {
    configured: String,
    apply: Apply,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What is in force for a while, and until when.
    instead: Option<(String, Instant)>,
    /// How often it was changed: a fallback belongs to one change.
    changes: u64,
}

/// How the log stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LevelStand {
    pub directives: String,
    pub configured: String,
    /// `None`: the configured directives are in force.
    pub falls_back_in: Option<Duration>,
}

static INSTALLED: OnceLock<Arc<LogLevel>> = OnceLock::new();

pub(super) fn install(level: LogLevel) {
    let _ = INSTALLED.set(Arc::new(level));
}

/// Where nobody has started the log, as in the demo, nothing is said whatever the level.
pub(super) fn installed() -> Arc<LogLevel> {
    let silent = || Arc::new(LogLevel::new("off", Box::new(|_| false)));
    INSTALLED.get().cloned().unwrap_or_else(silent)
}

impl LogLevel {
    pub(super) fn new(configured: &str, apply: Apply) -> Self {
        Self { configured: configured.to_owned(), apply, state: Mutex::default() }
    }

    pub fn stand(&self) -> LevelStand {
        let state = self.lock();
        let configured = self.configured.clone();
        match &state.instead {
            None => LevelStand { directives: configured.clone(), configured, falls_back_in: None },
            Some((directives, until)) => LevelStand {
                directives: directives.clone(),
                configured,
                falls_back_in: Some(until.saturating_duration_since(Instant::now())),
            },
        }
    }

    /// Puts other directives in force, for as long. Nothing changes when they are refused.
    pub fn set(self: &Arc<Self>, directives: &str, span: Duration) -> Result<(), InvalidFilter> {
        check(directives)?;
        let filter = filter(directives)?;
        let until = Instant::now() + span;
        let change = {
            let mut state = self.lock();
            (self.apply)(filter);
            state.instead = Some((directives.to_owned(), until));
            state.changes += 1;
            state.changes
        };
        let level = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep_until(until).await;
            level.fall_back(change);
        });
        Ok(())
    }

    /// Puts the configured directives in force.
    pub fn reset(&self) {
        let changes = self.lock().changes;
        self.fall_back(changes);
    }

    /// Undoes a change, unless another one was made since.
    fn fall_back(&self, change: u64) {
        let mut state = self.lock();
        if state.changes != change || state.instead.is_none() {
            return;
        }
        if let Ok(filter) = filter(&self.configured) {
            (self.apply)(filter);
        }
        *state = State { instead: None, changes: change + 1 };
        drop(state);
        tracing::info!("log level is as configured again");
    }

    /// No state of it is half a state.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Levels of ours alone. A bare word that is no level would be taken for the name of a module.
fn check(directives: &str) -> Result<(), InvalidFilter> {
    if directives.len() > BYTES_MAX {
        return Err(InvalidFilter::Level);
    }
    for directive in directives.split(',') {
        let (module, level) = match directive.split_once('=') {
            Some((module, level)) => (Some(module), level),
            None => (None, directive),
        };
        if !LEVELS.contains(&level) {
            return Err(InvalidFilter::Level);
        }
        let Some(module) = module else { continue };
        let mut parts = module.split("::");
        if parts.next() != Some("argospool") {
            return Err(InvalidFilter::Library);
        }
        let named = |part: &str| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
        };
        if !parts.all(named) {
            return Err(InvalidFilter::Level);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    type Applied = Arc<Mutex<Vec<String>>>;

    fn level() -> (Arc<LogLevel>, Applied) {
        let applied = Applied::default();
        let seen = applied.clone();
        let apply = move |filter: EnvFilter| {
            seen.lock().unwrap().push(filter.to_string());
            true
        };
        (Arc::new(LogLevel::new("warn", Box::new(apply))), applied)
    }

    fn configured() -> LevelStand {
        let directives = "warn".to_owned();
        LevelStand { configured: directives.clone(), directives, falls_back_in: None }
    }

    #[tokio::test(start_paused = true)]
    async fn a_level_falls_back_when_its_time_is_over() {
        let (level, applied) = level();
        assert_eq!(level.stand(), configured());
        level.set("info,argospool::engine=trace", MINUTE).unwrap();
        let stand = level.stand();
        assert_eq!(stand.directives, "info,argospool::engine=trace");
        assert_eq!((stand.configured.as_str(), stand.falls_back_in), ("warn", Some(MINUTE)));
        assert!(applied.lock().unwrap()[0].contains("argospool::engine=trace"));
        tokio::time::sleep(MINUTE + Duration::from_millis(1)).await;
        assert_eq!(level.stand(), configured());
        assert!(applied.lock().unwrap()[1].contains("warn"));
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_change_counts_and_its_time_alone() {
        let (level, _) = level();
        level.set("debug", MINUTE).unwrap();
        level.set("trace", 3 * MINUTE).unwrap();
        tokio::time::sleep(2 * MINUTE).await;
        assert_eq!(level.stand().directives, "trace");
        level.reset();
        assert_eq!(level.stand(), configured());
        level.set("debug", 5 * MINUTE).unwrap();
        tokio::time::sleep(2 * MINUTE).await;
        assert_eq!(level.stand().directives, "debug", "the one before was taken back");
    }

    /// P1: what libraries print is for the configuration to allow.
    #[tokio::test]
    async fn what_is_no_level_of_ours_is_refused_and_changes_nothing() {
        let (level, applied) = level();
        let long = "argospool::engine=debug,".repeat(50) + "info";
        for wrong in ["", "loud", "info,", "info, debug", "argospool=loud", "=info", long.as_str()]
        {
            let refused = level.set(wrong, MINUTE).unwrap_err();
            assert!(!matches!(refused, InvalidFilter::Directives(_)), "{wrong:?}: {refused}");
        }
        for other in ["h2=trace", "info,reqwest=debug", "argospoolish=debug", "[span]=trace"] {
            assert!(matches!(level.set(other, MINUTE), Err(InvalidFilter::Library)), "{other:?}");
        }
        assert!(level.set("argospool::=debug", MINUTE).is_err());
        assert_eq!((level.stand(), applied.lock().unwrap().len()), (configured(), 0));
    }
}
