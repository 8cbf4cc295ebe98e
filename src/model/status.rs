use std::fmt;

/// What a row (receiver) of an estimate is worth. Only [`RowStatus::Ok`] rows are unreservedly usable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum RowStatus {
    /// Estimated as asked.
    Ok = 1,
    /// The neuron did not fire in the sender bins, or not in the receiver bins, of the window's transitions; it takes no
    /// part: its row and column are zero.
    Silent = 2,
    /// The neuron fired in every sender bin, or in every receiver bin, of the window's transitions; it takes no part: its
    /// row and column are zero.
    Saturated = 3,
    /// The neuron has the very spike train of one with a lower index; it takes no part.
    Duplicate = 4,
    /// No more transitions than unknowns (couplings and field of a row): without a ridge nothing can be estimated.
    Undersampled = 5,
    /// The correlation matrix of the senders is singular: some spike trains are combinations of others.
    Singular = 6,
    /// The TAP equation has no root for this row; the row holds the naive mean field estimate instead.
    TapNoRoot = 7,
    /// The exact mean field equation has no root for this row; the row holds the naive mean field estimate.
    ExactMeanFieldNoRoot = 8,
    /// An iteration ended before it converged; the row holds its last value, or with TAP naive mean field.
    NotConverged = 9,
    /// The summed input that the couplings give the neuron varies too strongly for naive mean field to hold: the TAP equation has
    /// no root. The row holds the naive mean field values all the same.
    MeanFieldInvalid = 10,
    /// The spikes of the receiver follow from the senders without exception in some direction, so that without a ridge the
    /// likelihood has no finite maximum; the row is zero.
    Separated = 11,
    /// The window holds fewer than two repeats of a trial that the row could be estimated from; the row is zero.
    TooFewRepeats = 12,
}

impl RowStatus {
    /// Every status.
    pub const ALL: [Self; 12] = [
        Self::Ok,
        Self::Silent,
        Self::Saturated,
        Self::Duplicate,
        Self::Undersampled,
        Self::Singular,
        Self::TapNoRoot,
        Self::ExactMeanFieldNoRoot,
        Self::NotConverged,
        Self::MeanFieldInvalid,
        Self::Separated,
        Self::TooFewRepeats,
    ];

    /// Name as it stands in files, messages and tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Silent => "SILENT",
            Self::Saturated => "SATURATED",
            Self::Duplicate => "DUPLICATE",
            Self::Undersampled => "UNDERSAMPLED",
            Self::Singular => "SINGULAR",
            Self::TapNoRoot => "TAP_NO_ROOT",
            Self::ExactMeanFieldNoRoot => "EXACT_MEAN_FIELD_NO_ROOT",
            Self::NotConverged => "NOT_CONVERGED",
            Self::MeanFieldInvalid => "MEAN_FIELD_INVALID",
            Self::Separated => "SEPARATED",
            Self::TooFewRepeats => "TOO_FEW_REPEATS",
        }
    }

    /// Whether the row holds an estimate at all (perhaps of a fallback), rather than zeros.
    #[must_use]
    pub fn has_estimate(self) -> bool {
        matches!(
            self,
            Self::Ok
                | Self::TapNoRoot
                | Self::ExactMeanFieldNoRoot
                | Self::NotConverged
                | Self::MeanFieldInvalid
        )
    }
}

impl fmt::Display for RowStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
