//! The fields of a span in a line of text.

use std::fmt;

use tracing::span::Record;
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::{DefaultFields, Writer};
use tracing_subscriber::fmt::{FormatFields, FormattedFields};

/// As the subscriber writes them, but for records that have nothing in them. Libraries record fields of spans of their own that aren't logged, and so hit the
/// one around; each would add a blank, and the span of a pipe lasts for years.
#[derive(Debug, Default)]
pub(super) struct Fields(DefaultFields);

impl<'w> FormatFields<'w> for Fields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> fmt::Result {
        self.0.format_fields(writer, fields)
    }

    fn add_fields(
        &self,
        current: &'w mut FormattedFields<Self>,
        fields: &Record<'_>,
    ) -> fmt::Result {
        let before = current.fields.len();
        if before > 0 {
            current.fields.push(' ');
        }
        let begun = current.fields.len();
        self.0.format_fields(current.as_writer(), fields)?;
        if current.fields.len() == begun {
            current.fields.truncate(before);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use tracing::field::Empty;
    use tracing_subscriber::fmt::MakeWriter;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Log {
        type Writer = Self;

        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    #[test]
    fn what_a_library_records_of_a_span_that_is_not_logged_leaves_no_blanks() {
        let log = Log::default();
        let layer = tracing_subscriber::fmt::layer()
            .with_ansi(false)
            .without_time()
            .with_target(false)
            .with_writer(log.clone())
            .fmt_fields(Fields::default());
        let subscriber = tracing_subscriber::registry().with(layer);
        tracing::subscriber::with_default(subscriber, || {
            let span = tracing::info_span!("pipe", pipe = "shop", tenant = Empty);
            let other = tracing::info_span!("library", rows = Empty);
            let fields = other.metadata().unwrap().fields();
            let rows = fields.field("rows").unwrap();
            for _ in 0..5 {
                span.record_all(&fields.value_set(&[(&rows, None)]));
            }
            span.record("tenant", "acme");
            let _within = span.enter();
            tracing::info!("done");
        });
        let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        assert_eq!(
            text.trim(),
            "INFO pipe{pipe=\"shop\" tenant=\"acme\"}: done"
        );
    }
}
