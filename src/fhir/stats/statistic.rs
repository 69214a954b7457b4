//! The statistics of a series of numbers
//! (<http://terminology.hl7.org/CodeSystem/observation-statistics>).
//!
//! Sums, averages, extremes and percentiles are exact: integers scaled by the decimals of
//! the field, divided at the end. What needs a root is computed in binary floating point
//! and rounded to four decimals more than were measured. Variance and standard deviation
//! are those of a sample (n − 1), skew and kurtosis the adjusted ones of spreadsheets, and
//! percentiles lie between the two nearest numbers (linear interpolation).

/// A statistic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Statistic {
    /// The mean.
    Average,
    /// The greatest.
    Maximum,
    /// The smallest.
    Minimum,
    /// How many numbers there are.
    Count,
    /// How many Observations there are, those without a number included.
    TotalCount,
    /// The one in the middle.
    Median,
    /// The standard deviation.
    StdDev,
    /// The sum.
    Sum,
    /// The variance.
    Variance,
    /// The number below which so many percent lie.
    Percentile(u8),
    /// Half the distance of the quartiles.
    QuartileDeviation,
    /// How lopsided they are.
    Skew,
    /// How heavy their tails are (excess).
    Kurtosis,
    /// The straight line nearest to them over time.
    Regression,
}

/// Each statistic with its code and display. A code may stand for the same as another.
pub const STATISTICS: &[(&str, &str, Statistic)] = &[
    ("average", "Average", Statistic::Average),
    ("maximum", "Maximum", Statistic::Maximum),
    ("minimum", "Minimum", Statistic::Minimum),
    ("count", "Count", Statistic::Count),
    ("total-count", "Total Count", Statistic::TotalCount),
    ("median", "Median", Statistic::Median),
    ("std-dev", "Standard Deviation", Statistic::StdDev),
    ("sum", "Sum", Statistic::Sum),
    ("variance", "Variance", Statistic::Variance),
    ("20-percent", "20th Percentile", Statistic::Percentile(20)),
    ("80-percent", "80th Percentile", Statistic::Percentile(80)),
    ("4-lower", "Lower Quartile", Statistic::Percentile(25)),
    ("4-upper", "Upper Quartile", Statistic::Percentile(75)),
    ("4-dev", "Quartile Deviation", Statistic::QuartileDeviation),
    ("5-1", "1st Quintile", Statistic::Percentile(20)),
    ("5-2", "2nd Quintile", Statistic::Percentile(40)),
    ("5-3", "3rd Quintile", Statistic::Percentile(60)),
    ("5-4", "4th Quintile", Statistic::Percentile(80)),
    ("skew", "Skew", Statistic::Skew),
    ("kurtosis", "Kurtosis", Statistic::Kurtosis),
    ("regression", "Regression", Statistic::Regression),
];

/// One measured number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// The number, times ten to the power of [`Series::scale`].
    pub scaled: i128,
    /// When, in seconds since the epoch.
    pub seconds: i64,
}

/// The numbers that statistics are about.
#[derive(Debug, Clone, Default)]
pub struct Series {
    /// The numbers.
    pub samples: Vec<Sample>,
    /// Their common number of decimals.
    pub scale: u32,
    /// Decimals that were written, at most.
    pub written: u32,
    /// Observations, those without a number included.
    pub total: u64,
}

/// What the unit of a result is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// That of the numbers.
    Unit,
    /// Its square.
    Squared,
    /// It, a day.
    PerDay,
    /// None: a count or a ratio.
    One,
}

/// A result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figure {
    /// The number, as it is written.
    pub number: String,
    /// Its unit.
    pub of: Of,
    /// Which of several results it is.
    pub part: Option<&'static str>,
}

const DAY: f64 = 86_400.0;

impl Statistic {
    /// The results; none where there are too few numbers.
    pub fn of(self, series: &Series) -> Vec<Figure> {
        let one = |number: Option<String>, of: Of| {
            let figure = number.map(|number| Figure {
                number,
                of,
                part: None,
            });
            figure.into_iter().collect()
        };
        let count = series.samples.len();
        match self {
            Statistic::Count => one(Some(count.to_string()), Of::One),
            Statistic::TotalCount => one(Some(series.total.to_string()), Of::One),
            Statistic::Sum if count > 0 => one(series.exact(series.sum(), 1), Of::Unit),
            Statistic::Average => one(series.exact(series.sum(), count as i128), Of::Unit),
            Statistic::Maximum => one(series.exact(series.scaled().max(), 1), Of::Unit),
            Statistic::Minimum => one(series.exact(series.scaled().min(), 1), Of::Unit),
            Statistic::Median => one(series.percentile(50), Of::Unit),
            Statistic::Percentile(p) => one(series.percentile(p), Of::Unit),
            Statistic::QuartileDeviation => {
                let quartiles = series.hundredths(75).zip(series.hundredths(25));
                let half = quartiles.and_then(|(q3, q1)| series.exact(q3.checked_sub(q1), 200));
                one(half, Of::Unit)
            }
            Statistic::Variance => one(series.moment(2, |m| m.variance), Of::Squared),
            Statistic::StdDev => one(series.moment(2, |m| m.variance.sqrt()), Of::Unit),
            Statistic::Skew => one(series.moment(3, |m| m.skew), Of::One),
            Statistic::Kurtosis => one(series.moment(4, |m| m.kurtosis), Of::One),
            Statistic::Regression => series.regression(),
            Statistic::Sum => Vec::new(),
        }
    }
}

/// Moments of a sample, adjusted to its size.
struct Moments {
    variance: f64,
    skew: f64,
    kurtosis: f64,
}

impl Series {
    fn sum(&self) -> Option<i128> {
        self.samples
            .iter()
            .try_fold(0i128, |sum, s| sum.checked_add(s.scaled))
    }

    /// `numerator` ÷ `divisor`, both of scaled numbers.
    fn exact(&self, numerator: Option<i128>, divisor: i128) -> Option<String> {
        let unit = 10i128.checked_pow(self.scale)?;
        quotient(numerator?, divisor.checked_mul(unit)?, self.places())
    }

    fn places(&self) -> u32 {
        self.written + 4
    }

    fn scaled(&self) -> impl Iterator<Item = i128> {
        self.samples.iter().map(|sample| sample.scaled)
    }

    fn percentile(&self, percent: u8) -> Option<String> {
        self.exact(self.hundredths(percent), 100)
    }

    /// A hundred times a percentile, scaled.
    fn hundredths(&self, percent: u8) -> Option<i128> {
        let mut sorted: Vec<i128> = self.scaled().collect();
        sorted.sort_unstable();
        let place = sorted.len().checked_sub(1)? * usize::from(percent);
        let (low, part) = (place / 100, (place % 100) as i128);
        let (low, high) = (*sorted.get(low)?, *sorted.get(low + 1).or(sorted.get(low))?);
        low.checked_mul(100 - part)?
            .checked_add(high.checked_mul(part)?)
    }

    /// The numbers as they are.
    fn floats(&self) -> Vec<f64> {
        let unit = 10f64.powi(self.scale as i32);
        self.samples
            .iter()
            .map(|s| s.scaled as f64 / unit)
            .collect()
    }

    /// Something about the moments, where there are enough numbers.
    fn moment(&self, least: usize, read: impl Fn(Moments) -> f64) -> Option<String> {
        let numbers = self.floats();
        if numbers.len() < least {
            return None;
        }
        let n = numbers.len() as f64;
        let mean = numbers.iter().sum::<f64>() / n;
        let power = |p: i32| numbers.iter().map(|x| (x - mean).powi(p)).sum::<f64>();
        let variance = power(2) / (n - 1.0);
        let deviation = variance.sqrt();
        let skew = n / ((n - 1.0) * (n - 2.0)) * power(3) / deviation.powi(3);
        let kurtosis = n * (n + 1.0) / ((n - 1.0) * (n - 2.0) * (n - 3.0)) * power(4)
            / variance.powi(2)
            - 3.0 * (n - 1.0).powi(2) / ((n - 2.0) * (n - 3.0));
        rounded(
            read(Moments {
                variance,
                skew,
                kurtosis,
            }),
            self.places(),
        )
    }

    /// Gradient a day, and intercept at the first number.
    fn regression(&self) -> Vec<Figure> {
        let numbers = self.floats();
        let first = self.samples.iter().map(|s| s.seconds).min().unwrap_or(0);
        let days = self
            .samples
            .iter()
            .map(|s| (s.seconds - first) as f64 / DAY);
        let days: Vec<f64> = days.collect();
        let n = numbers.len() as f64;
        let mean = |of: &[f64]| of.iter().sum::<f64>() / n;
        let (x, y) = (mean(&days), mean(&numbers));
        let across: f64 = days.iter().map(|d| (d - x).powi(2)).sum();
        let along = days.iter().zip(&numbers).map(|(d, v)| (d - x) * (v - y));
        let gradient = along.sum::<f64>() / across;
        let figure = |number: f64, of: Of, part: &'static str| {
            let number = rounded(number, self.places())?;
            Some(Figure {
                number,
                of,
                part: Some(part),
            })
        };
        let figures = [
            figure(gradient, Of::PerDay, "gradient, a day"),
            figure(
                y - gradient * x,
                Of::Unit,
                "intercept at the first measurement",
            ),
        ];
        figures.into_iter().flatten().collect()
    }
}

/// A fraction in decimals, rounded half away from zero; exact where `places` suffice.
fn quotient(numerator: i128, denominator: i128, places: u32) -> Option<String> {
    if denominator == 0 {
        return None;
    }
    let negative = (numerator < 0) != (denominator < 0);
    let (numerator, denominator) = (numerator.unsigned_abs(), denominator.unsigned_abs());
    let unit = 10u128.checked_pow(places)?;
    let doubled = numerator.checked_mul(unit)?.checked_mul(2)?;
    let scaled = doubled.checked_add(denominator)? / denominator.checked_mul(2)?;
    let sign = if negative && scaled > 0 { "-" } else { "" };
    let digits = format!(
        "{sign}{}.{:0width$}",
        scaled / unit,
        scaled % unit,
        width = places as usize
    );
    Some(trimmed(&digits))
}

/// A number in decimals; none where it is no number.
fn rounded(number: f64, places: u32) -> Option<String> {
    number
        .is_finite()
        .then(|| trimmed(&format!("{number:.places$}", places = places as usize)))
}

/// Without the zeros at the end that say nothing.
fn trimmed(digits: &str) -> String {
    let short = digits.trim_end_matches('0').trim_end_matches('.');
    match short {
        "-0" | "" => "0".to_owned(),
        short => short.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers with one decimal, a day apart.
    fn series(scaled: &[i128]) -> Series {
        let samples = (0..).zip(scaled).map(|(day, &scaled)| Sample {
            scaled,
            seconds: day * 86_400,
        });
        Series {
            samples: samples.collect(),
            scale: 1,
            written: 1,
            total: scaled.len() as u64 + 1,
        }
    }

    fn figure(code: &str, series: &Series) -> String {
        let (_, _, statistic) = STATISTICS.iter().find(|(c, ..)| *c == code).unwrap();
        let figures = statistic.of(series);
        let numbers: Vec<&str> = figures.iter().map(|f| f.number.as_str()).collect();
        numbers.join(" ")
    }

    #[test]
    fn the_statistics_are_those_of_a_spreadsheet() {
        let few = series(&[20, 40, 40, 40, 50, 50, 70, 90]);
        for (code, want) in [
            ("average", "5"),
            ("maximum", "9"),
            ("minimum", "2"),
            ("count", "8"),
            ("total-count", "9"),
            ("median", "4.5"),
            ("sum", "40"),
            ("variance", "4.57143"),
            ("std-dev", "2.13809"),
            ("20-percent", "4"),
            ("80-percent", "6.2"),
            ("4-lower", "4"),
            ("4-upper", "5.5"),
            ("4-dev", "0.75"),
            ("5-1", "4"),
            ("5-2", "4"),
            ("5-3", "5"),
            ("5-4", "6.2"),
            ("skew", "0.81849"),
            ("kurtosis", "0.94063"),
            ("regression", "0.80952 2.16667"),
        ] {
            assert_eq!(figure(code, &few), want, "{code}");
        }
    }

    #[test]
    fn decimals_are_exact() {
        // The binary fractions of these add up to 0.30000000000000004.
        assert_eq!(figure("sum", &series(&[1, 2])), "0.3");
        assert_eq!(figure("average", &series(&[655, 653, 654])), "65.4");
        assert_eq!(figure("average", &series(&[1, 1, 2])), "0.13333");
        assert_eq!(figure("average", &series(&[-1, -1, -2])), "-0.13333");
        assert_eq!(figure("average", &series(&[-1, 1])), "0");
    }

    #[test]
    fn too_few_numbers_give_no_figure() {
        let none = series(&[]);
        assert_eq!(figure("count", &none), "0");
        assert_eq!(figure("total-count", &none), "1");
        for (code, ..) in STATISTICS {
            if !code.contains("count") {
                assert_eq!(figure(code, &none), "", "{code}");
            }
        }
        let one = series(&[65]);
        assert_eq!(figure("median", &one), "6.5");
        for code in ["variance", "std-dev", "skew", "kurtosis", "regression"] {
            assert_eq!(figure(code, &one), "", "{code}");
        }
        // A constant has no skew.
        assert_eq!(figure("skew", &series(&[10, 10, 10, 10])), "");
    }
}
