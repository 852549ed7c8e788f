//! The scenarios, a file for each part of the story.

mod one_id;
