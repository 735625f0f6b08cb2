//! "Did you mean …": the nearest of the words that would have been right.

/// The candidate nearest to a word, where it is near enough to be what was meant: a slip or two, or the same word in another
/// style (`timeZone`, `time-zone`).
pub(super) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = folded(word);
    let allowed = (plain.len() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .map(|candidate| (distance(&plain, &folded(candidate)), candidate))
        .filter(|(distance, candidate)| *distance <= allowed && *distance < candidate.chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The hint for [`nearest`], or `None`.
pub(super) fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(word, candidates).map(|candidate| format!("did you mean `{candidate}`?"))
}

fn folded(word: &str) -> Vec<char> {
    word.chars().filter(|c| !matches!(c, '_' | '-' | ' ')).flat_map(char::to_lowercase).collect()
}

/// Optimal string alignment: insertions, deletions, substitutions and swaps of neighbours count one each.
fn distance(left: &[char], right: &[char]) -> usize {
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=right.len()).collect();
    for (row, &a) in left.iter().enumerate() {
        let mut current = vec![row + 1];
        for (column, &b) in right.iter().enumerate() {
            let at = |row: &[usize], column: usize| row.get(column).copied().unwrap_or(usize::MAX - 1);
            let mut best = at(&last, column) + usize::from(a != b);
            best = best.min(at(&last, column + 1) + 1).min(at(&current, column) + 1);
            let neighbours =
                row.checked_sub(1).and_then(|at| left.get(at)).zip(column.checked_sub(1).and_then(|at| right.get(at)));
            if neighbours == Some((&b, &a)) {
                best = best.min(at(&before_last, column - 1) + 1);
            }
            current.push(best);
        }
        before_last = std::mem::replace(&mut last, current);
    }
    last.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_and_other_styles_find_their_word() {
        let words = ["time_zone", "tokens", "usd", "window", "listen"];
        for (word, meant) in [
            ("timezone", Some("time_zone")),
            ("timeZone", Some("time_zone")),
            ("TIME-ZONE", Some("time_zone")),
            ("lsiten", Some("listen")),
            ("token", Some("tokens")),
            ("usdd", Some("usd")),
            ("xyz", None),
            ("", None),
            ("frequency", None),
        ] {
            assert_eq!(nearest(word, words), meant, "{word}");
        }
    }

    #[test]
    fn distances_count_slips() {
        let of = |a: &str, b: &str| distance(&folded(a), &folded(b));
        for (a, b, slips) in
            [("", "abc", 3), ("abc", "abc", 0), ("abc", "acb", 1), ("kitten", "sitting", 3), ("ca", "abc", 3)]
        {
            assert_eq!((of(a, b), of(b, a)), (slips, slips), "{a} {b}");
        }
    }
}
