//! The table of long-lived tasks, and the phased stop.
//!
//! Edges stop first, so that nothing new comes in; the engines last, so that whatever is in flight can
//! still be written down (S2). A stop has one deadline for all phases, and what is not done by then is
//! cut off: after a kill nothing acknowledged is lost either (S1).

use std::{future::Future, time::Duration};

use tokio::{task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;

/// Every long-lived task. Adding one means answering when it stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    Grpc,
    Http,
    Jobs,
    Engine,
}

impl Task {
    const fn phase(self) -> usize {
        match self {
            Self::Grpc | Self::Http | Self::Jobs => 0,
            Self::Engine => 1,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Grpc => "grpc",
            Self::Http => "http",
            Self::Jobs => "jobs",
            Self::Engine => "engine",
        }
    }
}

/// How a task ended: by itself, which ends the daemon, or because it was told to.
pub type Ended = Result<(), String>;

/// All tasks that run.
#[derive(Default)]
pub struct Roster {
    phases: [Phase; 2],
}

#[derive(Default)]
struct Phase {
    stop: CancellationToken,
    tasks: JoinSet<(Task, Ended)>,
}

impl Roster {
    /// Starts a task, which ends when its token is cancelled.
    pub fn start<F>(&mut self, task: Task, run: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = Ended> + Send + 'static,
    {
        let phase = &mut self.phases[task.phase()];
        let running = run(phase.stop.clone());
        phase.tasks.spawn(async move { (task, running.await) });
    }

    /// Waits until some task ends although nobody asked it to, and says which and why.
    pub async fn first_to_end(&mut self) -> String {
        let [edges, engines] = &mut self.phases;
        let ended = tokio::select! {
            Some(ended) = edges.tasks.join_next() => ended,
            Some(ended) = engines.tasks.join_next() => ended,
            else => std::future::pending().await,
        };
        match ended {
            Ok((task, Ok(()))) => format!("task {} ended", task.name()),
            Ok((task, Err(why))) => format!("task {} ended: {why}", task.name()),
            Err(_) => "a task panicked".to_owned(),
        }
    }

    /// Stops phase by phase within `grace`. Returns how many tasks had to be cut off.
    pub async fn stop(self, grace: Duration) -> usize {
        let began = Instant::now();
        let mut cut_off = 0;
        for (phase, deadline) in self.phases.into_iter().zip([began + grace / 2, began + grace]) {
            // Edges that do not end leave the engines half of the time.
            let Phase { stop, mut tasks } = phase;
            stop.cancel();
            while tokio::time::timeout_at(deadline, tasks.join_next())
                .await
                .is_ok_and(|ended| ended.is_some())
            {}
            cut_off += tasks.len();
            tasks.shutdown().await;
        }
        cut_off
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn engines_are_told_to_stop_after_the_edges_are_gone() {
        let mut roster = Roster::default();
        let (told, mut order) = tokio::sync::mpsc::unbounded_channel();
        for task in [Task::Engine, Task::Grpc] {
            let told = told.clone();
            roster.start(task, |stop| async move {
                stop.cancelled().await;
                let _ = told.send(task);
                Ok(())
            });
        }
        assert_eq!(roster.stop(Duration::from_secs(1)).await, 0);
        assert_eq!(order.recv().await, Some(Task::Grpc));
        assert_eq!(order.recv().await, Some(Task::Engine));
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_does_not_stop_is_cut_off_at_the_deadline() {
        let mut roster = Roster::default();
        roster.start(Task::Grpc, |_| std::future::pending());
        roster.start(Task::Engine, |stop| async move {
            stop.cancelled().await;
            Ok(())
        });
        let began = Instant::now();
        assert_eq!(roster.stop(Duration::from_secs(20)).await, 1);
        assert!(began.elapsed() <= Duration::from_secs(21));
    }

    /// S2.
    #[tokio::test(start_paused = true)]
    async fn edges_that_do_not_end_leave_the_engines_half_of_the_time() {
        let mut roster = Roster::default();
        roster.start(Task::Grpc, |_| std::future::pending());
        roster.start(Task::Engine, |stop| async move {
            stop.cancelled().await;
            tokio::time::sleep(Duration::from_secs(9)).await;
            Ok(())
        });
        assert_eq!(roster.stop(Duration::from_secs(20)).await, 1, "the edge alone was cut off");
    }

    #[tokio::test]
    async fn a_task_that_dies_is_named() {
        let mut roster = Roster::default();
        roster.start(Task::Http, |_| std::future::pending());
        roster.start(Task::Engine, |_| async { Err("ledger has a newer owner".to_owned()) });
        assert_eq!(roster.first_to_end().await, "task engine ended: ledger has a newer owner");
    }
}
