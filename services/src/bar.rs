//! Bars that show how far things are; where there is no terminal, a line per stage.

use std::io::{IsTerminal, stderr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Bars below each other, each with a name.
#[derive(Default)]
pub(crate) struct Bars {
    bars: MultiProgress,
    is_silent: bool,
}

impl Bars {
    /// Bars that nobody sees.
    pub(crate) fn hidden() -> Self {
        Self { bars: MultiProgress::with_draw_target(ProgressDrawTarget::hidden()), is_silent: true }
    }

    /// One more bar; `width` is what the widest of the names takes.
    pub(crate) fn add(&self, name: &str, width: usize) -> Bar {
        let name = events::clean(name, 200);
        let template =
            format!("{{spinner:.cyan}} {{prefix:<{width}!}}  {{bar:20.cyan}} {{percent:>3}} %  {{wide_msg}}");
        let bar = self.bars.add(styled(&template));
        let teller = (!self.is_silent).then(|| format!("{name}: "));
        Bar::start(bar.with_prefix(name), teller)
    }

    /// Says a line that stays, above the bars.
    #[expect(clippy::print_stderr, reason = "people read it")]
    pub(crate) fn say(&self, line: &str) {
        if !self.is_silent {
            self.suspend(|| eprintln!("{line}"));
        }
    }

    /// Does something with the terminal while no bar is there.
    pub(crate) fn suspend<T>(&self, print: impl FnOnce() -> T) -> T {
        self.bars.suspend(print)
    }
}

/// A bar; clones share it.
#[derive(Clone)]
pub(crate) struct Bar {
    drawn: ProgressBar,
    /// What its lines begin with, where there is no terminal; `None` if nobody is to be told.
    teller: Option<String>,
    last_stage: Arc<Mutex<String>>,
}

fn styled(template: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(template).expect("the template is right").progress_chars("━╸ ");
    ProgressBar::new(1000).with_style(style)
}

impl Bar {
    /// A bar by itself.
    pub(crate) fn new() -> Self {
        Self::start(styled("{spinner} {msg:<22} {bar:40} {percent:>3} %  {elapsed}"), Some(String::new()))
    }

    fn start(bar: ProgressBar, teller: Option<String>) -> Self {
        bar.enable_steady_tick(Duration::from_millis(100));
        Self { drawn: bar, teller, last_stage: Arc::default() }
    }

    /// Shows a stage and how far everything is, in percent. The bar never goes back.
    pub(crate) fn show(&self, stage: &str, percent: f32) {
        self.show_more(stage, "", percent);
    }

    /// Says something beside the stage, while it lasts.
    pub(crate) fn note(&self, text: &str) {
        self.drawn.set_message(text.to_owned());
        self.tell(text);
    }

    /// As [`Bar::show`], with what only a terminal is worth: it changes all the time.
    pub(crate) fn show_more(&self, stage: &str, more: &str, percent: f32) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "held within 0 and 1000")]
        let position = (percent.clamp(0.0, 100.0) * 10.0) as u64;
        self.drawn.set_position(position.max(self.drawn.position()));
        self.drawn.set_message(format!("{stage}{more}"));
        self.tell(stage);
    }

    /// Begins again from nothing, for the next thing of the same name.
    pub(crate) fn restart(&self) {
        self.drawn.set_position(0);
    }

    /// Where there is no terminal, a line for each new stage.
    #[expect(clippy::print_stderr, reason = "people read it")]
    fn tell(&self, stage: &str) {
        let mut last = self.last_stage.lock().expect("nothing panics while it holds this lock");
        if *last == stage {
            return;
        }
        stage.clone_into(&mut last);
        if let Some(name) = self.teller.as_ref().filter(|_| !stderr().is_terminal()) {
            eprintln!("{name}{stage} ({} %)", self.drawn.position() / 10);
        }
    }

    /// The bar stays as it is, full.
    pub(crate) fn finish(&self) {
        self.show("done", 100.0);
        self.drawn.finish();
        self.end_line();
    }

    /// The bar goes away; a line will say how it ended.
    pub(crate) fn clear(&self) {
        self.drawn.finish_and_clear();
    }

    #[expect(clippy::print_stderr, reason = "what is printed next begins on a line of its own")]
    fn end_line(&self) {
        if !self.drawn.is_hidden() {
            eprintln!();
        }
    }
}
