//! Asks before something is done that a person may regret.

use std::io::IsTerminal;

use super::exit::Failure;

/// Whether to go on: said with `--yes`, or answered at the prompt.
pub(super) fn confirm(question: &str, yes: bool) -> Result<bool, Failure> {
    if yes {
        return Ok(true);
    }
    if !std::io::stdin().is_terminal() {
        return Err(Failure::usage(format!(
            "{question} There is nobody to ask: say it with --yes"
        )));
    }
    dialoguer::Confirm::new()
        .with_prompt(question)
        .default(false)
        .interact()
        .map_err(|cause| Failure::internal(&cause))
}
