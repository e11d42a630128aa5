//! One bar from the beginning to the finished video; where there is no terminal, a line per stage.

use std::io::{IsTerminal, stderr};
use std::sync::{Arc, Mutex};

use indicatif::{ProgressBar, ProgressStyle};

/// A bar; clones share it.
#[derive(Clone)]
pub(crate) struct Bar {
    bar: ProgressBar,
    last_stage: Arc<Mutex<String>>,
}

impl Bar {
    pub(crate) fn new() -> Self {
        let style = ProgressStyle::with_template("{spinner} {msg:<22} {bar:40} {percent:>3} %  {elapsed}")
            .expect("the template is right")
            .progress_chars("━╸ ");
        let bar = ProgressBar::new(1000).with_style(style);
        bar.enable_steady_tick(std::time::Duration::from_millis(100));
        Self { bar, last_stage: Arc::default() }
    }

    /// Shows a stage and how far everything is, in percent. The bar never goes back.
    pub(crate) fn show(&self, stage: &str, percent: f32) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "held within 0 and 1000")]
        let position = (percent.clamp(0.0, 100.0) * 10.0) as u64;
        self.bar.set_position(position.max(self.bar.position()));
        let mut last = self.last_stage.lock().expect("nothing panics while it holds this lock");
        if *last != stage {
            stage.clone_into(&mut last);
            self.bar.set_message(stage.to_owned());
            self.tell(stage);
        }
    }

    #[expect(clippy::print_stderr, reason = "people read it")]
    fn tell(&self, stage: &str) {
        if !stderr().is_terminal() {
            eprintln!("{stage} ({} %)", self.bar.position() / 10);
        }
    }

    pub(crate) fn finish(&self) {
        self.show("done", 100.0);
        self.bar.finish();
        self.end_line();
    }

    #[expect(clippy::print_stderr, reason = "what is printed next begins on a line of its own")]
    fn end_line(&self) {
        if !self.bar.is_hidden() {
            eprintln!();
        }
    }
}
