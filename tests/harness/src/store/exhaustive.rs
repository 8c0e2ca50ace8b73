/// Walks every sequence of choices, one after the other, without knowing beforehand how many there are.
///
/// The habit is TigerBeetle's `exhaustigen`: code asks for its choices as if they were random, and is run again
/// until every answer was given.
///
/// ```
/// use sandbar_harness::store::Exhaustive;
///
/// let mut choices = Exhaustive::default();
/// let mut seen = Vec::new();
/// while choices.next_round() {
///     let first = choices.below(2);
///     let second = if first == 0 { 9 } else { choices.below(2) };
///     seen.push((first, second));
/// }
/// assert_eq!(seen, [(0, 9), (1, 0), (1, 1)]);
/// ```
#[derive(Debug, Default)]
pub struct Exhaustive {
    started: bool,
    /// What was chosen so far, of how many.
    choices: Vec<(usize, usize)>,
    position: usize,
}

impl Exhaustive {
    /// Goes on to the next sequence; `false` when all were walked.
    pub fn next_round(&mut self) -> bool {
        self.position = 0;
        if !std::mem::replace(&mut self.started, true) {
            return true;
        }
        while let Some((chosen, of)) = self.choices.pop() {
            if chosen + 1 < of {
                self.choices.push((chosen + 1, of));
                return true;
            }
        }
        false
    }

    /// A choice of `of`, which is at least 1, counted from 0.
    pub fn below(&mut self, of: usize) -> usize {
        if self.position == self.choices.len() {
            self.choices.push((0, of));
        }
        self.position += 1;
        self.choices[self.position - 1].0
    }

    /// The choices of this round so far.
    pub fn taken(&self) -> Vec<usize> {
        self.choices[..self.position]
            .iter()
            .map(|(chosen, _)| *chosen)
            .collect()
    }
}
