//! `tidemill plugin test`.

use std::path::Path;

use super::arguments::TestArguments;
use super::host::Host;
use super::{case_result, rows, show};
use crate::cli::exit::{Exit, Failure};
use crate::cli::printer::Printer;
use crate::cli::show::count;
use crate::kit::{self, Case, CaseReport, FILE, Project, Verdict};

pub(super) fn run(
    host: &Host,
    arguments: &TestArguments,
    pipe: &Path,
    printer: &Printer,
) -> Result<Exit, Failure> {
    let (plugin, project) = host.load(&arguments.plugin, arguments.rows.table.is_some())?;
    let check = |case: &Case, given| {
        let update = arguments.update;
        kit::check(&host.runtime, &plugin, case, given, update)
    };
    let reports = if rows::are_given(&arguments.rows) {
        vec![given(arguments, project.as_ref(), pipe, check)?]
    } else {
        let cases = rows::cases(project.as_ref(), &arguments.plugin, &arguments.tests)?;
        if arguments.update && cases.iter().all(|case| case.expected.is_none()) {
            return Err(Failure::usage(format!(
                "`--update` has no file to write to: name one in `{FILE}`, as in `expected = \"tests/expected.jsonl\"`"
            )));
        }
        let reports = cases.iter().map(|case| check(case, None));
        reports.collect::<Result<_, _>>()?
    };
    let summary = summary(&reports);
    let text = reports.iter().map(show::case).collect::<String>();
    let result: Vec<_> = reports.iter().map(case_result).collect();
    printer.result(&summary, &format!("{text}{summary}"), &result);
    Ok(
        match reports.iter().all(|report| report.verdict.is_good()) {
            true => Exit::Ok,
            false => Exit::Plugin,
        },
    )
}

/// The test of the rows that the command line names.
fn given(
    arguments: &TestArguments,
    project: Option<&Project>,
    pipe: &Path,
    check: impl FnOnce(&Case, Option<arrow::array::RecordBatch>) -> Result<CaseReport, kit::Error>,
) -> Result<CaseReport, Failure> {
    if arguments.update && arguments.expected.is_none() {
        return Err(Failure::usage(
            "`--update` has no file to write to: name one with `--expected FILE`",
        ));
    }
    let given = rows::given(&arguments.rows, project, pipe)?;
    if let Some(file) = &arguments.save {
        crate::rows::write(file, &given.rows).map_err(kit::Error::from)?;
    }
    let case = Case {
        expected: arguments.expected.clone(),
        ..given.case
    };
    Ok(check(&case, Some(given.rows))?)
}

/// How many tests passed, of those that had something to be held against.
fn summary(reports: &[CaseReport]) -> String {
    let are = |verdict: fn(&Verdict) -> bool| {
        let reports = reports.iter();
        reports.filter(|report| verdict(&report.verdict)).count()
    };
    let unchecked = are(|verdict| *verdict == Verdict::Unchecked);
    let compared = reports.len() - unchecked;
    if compared == 0 {
        return "nothing was compared, since no rows are expected".to_owned();
    }
    let passed = are(Verdict::is_good) - unchecked;
    let of = count(compared, "test");
    match unchecked {
        0 => format!("{passed} of {of} passed"),
        _ => format!("{passed} of {of} passed, and {unchecked} had nothing to compare with"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_compared_has_not_passed() {
        let report = |verdict| CaseReport {
            name: "t".to_owned(),
            trial: None,
            fate: None,
            verdict,
        };
        let failed = || Verdict::Failed("why".to_owned());
        for (verdicts, words) in [
            (vec![Verdict::Passed], "1 of 1 test passed"),
            (vec![Verdict::Passed, failed()], "1 of 2 tests passed"),
            (
                vec![Verdict::Passed, Verdict::Unchecked, failed()],
                "1 of 2 tests passed, and 1 had nothing to compare with",
            ),
            (
                vec![Verdict::Unchecked, Verdict::Unchecked],
                "nothing was compared, since no rows are expected",
            ),
        ] {
            let reports: Vec<_> = verdicts.into_iter().map(report).collect();
            assert_eq!(summary(&reports), words);
        }
    }
}
