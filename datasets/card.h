// What a data set is, on one page: who acted, by which rules, how episodes ended, what they returned.
#pragma once

#include <string>

#include "core/config.h"
#include "datasets/dataset.h"

namespace diffreward {

/// The card's content: `env`, `env_options`, `engine`, `behaviour`, `agent` (who acted, as recorded), `generator`, `seed`,
/// `transitions`, `episodes`; how these ended (`terminated`, `cut`, `cut_by_recording`: the last row of an instance, whose
/// episode is no whole one); of whole episodes `return` and `length` (mean, deviation, quantiles, histogram), `score` and
/// the `references` that it refers to; `log_probabilities`; `faults` that check_data() finds.
Json card_of(const Dataset& data);

/// The same as Markdown.
std::string card_markdown(const Json& card);

}  // namespace diffreward
