// Guides made of others: in the units of an expert's step, as a probability, of several at once, or the difference of two
// models itself. Where a guide is a log density ratio log p_t^expert - log p_t^base, in nats, its gradient times
// beta_t / sqrt(alpha_t) is mu_expert - mu_base: so much a step of the base has to be moved to become one of the expert.
#pragma once

#include <memory>
#include <vector>

#include "agents/diffusion/denoising_model.h"
#include "agents/guide.h"

namespace diffreward {

/// guide(x, t) times factors[t], its gradient likewise.  factors: [timesteps]
std::shared_ptr<const Guide> scaled_guide(std::shared_ptr<const Guide> guide,
                                          const std::vector<double>& factors);

/// A log density ratio in nats as a guide whose gradient is the estimate of mu_expert - mu_base: guided with scale 1 a step
/// of the base model becomes one of the expert.
std::shared_ptr<const Guide> difference_guide(std::shared_ptr<const Guide> log_ratio,
                                              const NoiseSchedule& schedule);

/// The probability 1 / (1 + exp(-value)) of a classifier's logit. Its gradient vanishes where the classifier is sure.
std::shared_ptr<const Guide> probability_guide(std::shared_ptr<const Guide> logit);

/// Mean of guides less `pessimism` times their (population) deviation, a lower bound where they disagree. Throws
/// InvalidArgument without guides.
std::shared_ptr<const Guide> ensemble_guide(std::vector<std::shared_ptr<const Guide>> guides,
                                            double pessimism);

/// mu_expert - mu_base at x_t, the field that rewards are extracted from: what the best of rewards could do at x_t. It has no
/// value: value() throws Error. The models must live as long.
std::shared_ptr<const Guide> field_guide(const DenoisingModel& expert, const DenoisingModel& base);

}  // namespace diffreward
