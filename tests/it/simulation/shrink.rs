//! Cuts a script that breaks a promise down to the steps that it takes.

use super::{
    run::Breach,
    script::{Script, Step, Weather},
};

/// Plays of a script that are worth it.
const PLAYS_MAX: usize = 2_000;

/// The smallest script found that breaks the same promise when played, and how it does.
pub fn shrink(
    script: Script,
    breach: Breach,
    play: impl Fn(&Script) -> Result<(), Breach>,
) -> (Script, Breach) {
    let mut best = Shrinking { plays: 0, play, script, breach };
    best.cut_the_end();
    loop {
        let before = best.script.clone();
        best.drop_parts();
        best.make_smaller();
        if best.script == before || best.plays >= PLAYS_MAX {
            return (best.script, best.breach);
        }
    }
}

struct Shrinking<P> {
    plays: usize,
    play: P,
    script: Script,
    breach: Breach,
}

impl<P: Fn(&Script) -> Result<(), Breach>> Shrinking<P> {
    /// Takes other steps if they break the same promise.
    fn try_steps(&mut self, steps: Vec<Step>) -> bool {
        self.plays += 1;
        if self.plays > PLAYS_MAX {
            return false;
        }
        let script = Script { setting: self.script.setting, steps };
        match (self.play)(&script) {
            Err(breach) if promise(&breach) == promise(&self.breach) => {
                (self.script, self.breach) = (script, breach);
                true
            }
            Err(_) | Ok(()) => false,
        }
    }

    fn cut_the_end(&mut self) {
        let steps = self.script.steps[..self.breach.step].to_vec();
        self.try_steps(steps);
    }

    /// Leaves out ever smaller parts.
    fn drop_parts(&mut self) {
        let mut part = self.script.steps.len().div_ceil(2);
        while part > 0 {
            let mut at = 0;
            while at < self.script.steps.len() {
                let mut steps = self.script.steps.clone();
                steps.drain(at..steps.len().min(at + part));
                if !self.try_steps(steps) {
                    at += part;
                }
            }
            part /= 2;
        }
    }

    /// Makes what is left say less.
    fn make_smaller(&mut self) {
        for at in 0..self.script.steps.len() {
            while let Some(less) = less(&self.script.steps[at]) {
                let mut steps = self.script.steps.clone();
                steps[at] = less;
                if !self.try_steps(steps) {
                    break;
                }
            }
        }
    }
}

/// The promise that a breach is about.
fn promise(breach: &Breach) -> &str {
    breach.what.split(':').next().unwrap_or_default()
}

fn less(step: &Step) -> Option<Step> {
    if let Step::Burst { owner, callers, wait_ms } = *step {
        return (callers > 1).then_some(Step::Burst { owner, callers: callers / 2, wait_ms });
    }
    if let Step::Pass(millis) = *step {
        return (millis > 1_000).then_some(Step::Pass(millis / 2));
    }
    let Step::Weather(weather) = *step else { return None };
    let milder = if weather.webhooks > 0 {
        Weather { webhooks: 0, ..weather }
    } else if weather.disk > 0 {
        Weather { disk: 0, ..weather }
    } else if weather.calls > 0 {
        Weather { calls: 0, ..weather }
    } else {
        return None;
    };
    Some(Step::Weather(milder))
}

#[test]
fn a_script_that_fails_is_cut_down_to_what_makes_it_fail() {
    let script = Script::draw(7, 120);
    let fatal = |step: &Step| matches!(step, Step::Lease { .. });
    let fails = |script: &Script| {
        let fatal: Vec<_> = script.steps.iter().filter(|step| fatal(step)).collect();
        match fatal.as_slice() {
            [] | [_] => Ok(()),
            [_, _, ..] => Err(Breach { what: "L1: made up".to_owned(), step: script.steps.len() }),
        }
    };
    let breach = fails(&script).unwrap_err();
    let (small, _) = shrink(script, breach, fails);
    assert_eq!(small.steps.len(), 2, "{small}");
}
