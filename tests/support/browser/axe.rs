//! What axe says of a page's accessibility.

use std::fmt::Display;

use serde_json::json;

use super::Browser;

impl Browser {
    /// What axe finds wrong with the page for those who can't see it, hear it or point at it.
    #[track_caller]
    pub fn axe(&self) -> Vec<Violation> {
        if self.run("return typeof axe", &[]) == "undefined" {
            let source = std::fs::read_to_string(&self.axe).expect("axe-core");
            self.run(&source, &[]);
        }
        let run = "const done = arguments[0];
            const ending = document.getAnimations().filter(a => a.effect.getComputedTiming().endTime !== Infinity);
            Promise.allSettled(ending.map(a => a.finished))
              .then(() => axe.run(document, { resultTypes: ['violations'] })).then(r => done(r.violations), e => done(String(e)))";
        let found = self.ask("axe", self.client.execute_async(run, vec![]));
        serde_json::from_value(found.clone())
            .unwrap_or_else(|_| self.fail(&format!("axe: {found}")))
    }

    /// Checks that axe finds nothing.
    #[track_caller]
    pub fn assert_accessible(&self) {
        let violations = self.axe();
        if !violations.is_empty() {
            let list: Vec<String> = violations.iter().map(ToString::to_string).collect();
            self.fail(&format!("the page is not accessible:\n{}", list.join("\n")));
        }
    }
}

/// A rule that a page breaks.
#[derive(Debug, serde::Deserialize)]
pub struct Violation {
    /// The rule's name, such as `image-alt`.
    pub id: String,
    /// How bad it is: minor, moderate, serious or critical.
    pub impact: Option<String>,
    /// The rule in words.
    pub help: String,
    /// Where it is broken.
    pub nodes: Vec<Node>,
}

/// An element that breaks a rule.
#[derive(Debug, serde::Deserialize)]
pub struct Node {
    /// The element's own tag.
    pub html: String,
    /// What to do about it.
    #[serde(rename = "failureSummary")]
    pub summary: Option<String>,
}

impl Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let impact = self.impact.as_deref().unwrap_or("unrated");
        write!(f, "{} ({impact}): {}", self.id, self.help)?;
        for node in &self.nodes {
            let summary = node.summary.as_deref().unwrap_or_default();
            write!(
                f,
                "\n  {}\n    {}",
                node.html,
                summary.replace('\n', "\n    ")
            )?;
        }
        Ok(())
    }
}
