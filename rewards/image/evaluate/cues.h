// Trivial cues of a picture: numbers that know nothing of a concept, and by which drawings of it may yet be told from
// others. A reward that does not beat them may have learned them.
//
//   diagonality  sum |2 gx gy| / sum (gx^2 + gy^2) of the grey picture's gradients (Sobel): 0 for upright and level edges,
//                1 for edges at 45 degrees; 0 for a plain picture
//   ink          share of pixels that differ from the border's median colour by more than 32 of 255 in some channel
//   saturation   mean saturation (HSV)
//   brightness   mean luma (ITU-R BT.601)
//   edges        share of pixels on an edge (Canny 1986, thresholds 100 and 200)
#pragma once

#include <array>
#include <span>
#include <string>
#include <vector>

#include "core/statistics.h"
#include "envs/image.h"

namespace diffreward {

/// All in [0, 1].
struct TrivialCues {
  double diagonality = 0, ink = 0, saturation = 0, brightness = 0, edges = 0;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("diagonality", self.diagonality);
    field("ink", self.ink);
    field("saturation", self.saturation);
    field("brightness", self.brightness);
    field("edges", self.edges);
  }
};

/// Throws InvalidArgument for a picture without pixels.
TrivialCues trivial_cues(const Image& image);

/// What a cue is worth as a score, in the direction that serves it better on these pictures.
struct CueScore {
  std::string cue;
  bool rises = true;  ///< with the concept
  Estimate auroc;     ///< at least 0.5
};

/// One per cue, in the order of the fields. Throws InvalidArgument where a side is empty.
std::vector<CueScore> cue_scores(std::span<const TrivialCues> positive, std::span<const TrivialCues> negative,
                                 const BootstrapConfig& config);

}  // namespace diffreward
