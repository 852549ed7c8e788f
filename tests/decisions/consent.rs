//! Where consent stands (rules S8, S9, C1): every row of the table.

use throughline::domain::consent::{Basis, Standing};

#[test]
fn s8_s9_every_row_of_the_table() {
    use throughline::domain::consent::Choice::{Denied, Granted, None};
    use throughline::domain::consent::ConsentPolicy::{Implied, Required};
    for (policy, choice, signal, standing) in [
        (Required, None, false, Standing::Unknown),
        (Required, Granted, false, Standing::Stands(Basis::Granted)),
        (Required, Denied, false, Standing::Refused),
        (Implied, None, false, Standing::Stands(Basis::Implied)),
        (Implied, Granted, false, Standing::Stands(Basis::Granted)),
        (Implied, Denied, false, Standing::Refused),
        (Required, None, true, Standing::Refused),
        (Required, Granted, true, Standing::Refused),
        (Required, Denied, true, Standing::Refused),
        (Implied, None, true, Standing::Refused),
        (Implied, Granted, true, Standing::Refused),
        (Implied, Denied, true, Standing::Refused),
    ] {
        assert_eq!(Standing::new(policy, choice, signal), standing, "{policy:?}, {choice:?}, signal {signal}");
        assert_eq!(standing.basis().is_some(), standing.as_str() == "granted", "{standing:?}");
    }
}

#[test]
fn b2_a_basis_has_one_spelling_and_there_are_two() {
    for basis in [Basis::Granted, Basis::Implied] {
        assert_eq!(Basis::parse(basis.as_str()), Some(basis));
    }
    for other in ["", "Granted", "IMPLIED", "granted ", "none", "denied", "required"] {
        assert_eq!(Basis::parse(other), None, "{other:?}");
    }
}
