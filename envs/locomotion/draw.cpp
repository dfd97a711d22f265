#include "envs/locomotion/draw.h"

#include <mujoco/mujoco.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

#include "core/error.h"

namespace diffreward {
namespace {

constexpr int kShift = 6;        // fractional bits of OpenCV's coordinates
constexpr double kRuling = 0.5;  // metres between the ground's lines
const cv::Scalar kPaper(247, 246, 242), kGround(226, 223, 214), kRule(200, 197, 188), kRim(62, 68, 81);

/// World to pixels: x to the right; y away from the camera; the middle of the picture is `middle`.
struct Camera {
  double sine, cosine, scale;  // scale: pixels per metre
  cv::Point2d middle, centre;  // of the view in metres, of the picture in pixels

  cv::Point2d flat(const double* p) const { return {p[0], p[2] * cosine + p[1] * sine}; }
  double depth(const double* p) const { return p[1] * cosine - p[2] * sine; }
  cv::Point at(cv::Point2d p) const {
    const double unit = 1 << kShift;
    return {int(std::lround((centre.x + (p.x - middle.x) * scale) * unit)),
            int(std::lround((centre.y - (p.y - middle.y) * scale) * unit))};
  }
};

void draw_ground(cv::Mat& pixels, const Camera& camera) {
  const double half_width = pixels.cols / camera.scale, half_height = pixels.rows / camera.scale;
  const double left = camera.middle.x - half_width, right = camera.middle.x + half_width;
  const bool side = camera.sine < 0.05;  // then only the ground's edge is seen
  const double top = side ? 0 : camera.middle.y + half_height, bottom = camera.middle.y - half_height;
  const cv::Point corners[] = {camera.at({left, top}), camera.at({right, top}), camera.at({right, bottom}),
                               camera.at({left, bottom})};
  cv::fillConvexPoly(pixels, corners, 4, kGround, cv::LINE_AA, kShift);
  for (double x = std::ceil(left / kRuling) * kRuling; x <= right; x += kRuling)
    cv::line(pixels, camera.at({x, top}), camera.at({x, side ? top - 0.1 : bottom}), kRule, 1, cv::LINE_AA,
             kShift);
  if (side) return;
  const double step = kRuling * camera.sine;
  for (double y = std::ceil(bottom / step) * step; y <= top; y += step)
    cv::line(pixels, camera.at({left, y}), camera.at({right, y}), kRule, 1, cv::LINE_AA, kShift);
}

/// The outline of a capsule or sphere: the middle line from `a` to `b`, `radius` metres to all sides.
void draw_capsule(cv::Mat& pixels, const Camera& camera, cv::Point2d a, cv::Point2d b, double radius,
                  const cv::Scalar& colour) {
  const cv::Point2d along = b - a;
  const double length = std::hypot(along.x, along.y);
  const cv::Point2d out = length > 0 ? cv::Point2d(-along.y, along.x) * (radius / length) : cv::Point2d(0, 0);
  const cv::Point sides[] = {camera.at(a + out), camera.at(b + out), camera.at(b - out), camera.at(a - out)};
  cv::fillConvexPoly(pixels, sides, 4, colour, cv::LINE_AA, kShift);
  const int r = std::max(1, int(std::lround(radius * camera.scale * (1 << kShift))));
  for (const cv::Point2d& end : {a, b})
    cv::circle(pixels, camera.at(end), r, colour, cv::FILLED, cv::LINE_AA, kShift);
}

}  // namespace

Image draw_robot(const mjModel& model, const mjData& data, const RobotView& view, int width, int height) {
  check_picture_size(width, height);
  // Kinematics of the current positions: those in `data` may lag behind by a step.
  const auto now = make_mujoco_data("render", model);
  std::copy_n(data.qpos, model.nq, now->qpos);
  mj_kinematics(&model, now.get());

  const double angle = view.elevation * std::numbers::pi / 180;
  Camera camera{std::sin(angle), std::cos(angle), height / view.height, {}, {width / 2.0, height / 2.0}};
  std::vector<int> geoms;
  for (int g = 0; g < model.ngeom; ++g)
    if (model.geom_type[g] == mjGEOM_CAPSULE || model.geom_type[g] == mjGEOM_SPHERE) geoms.push_back(g);
  double x = 0, y = 0;
  for (const int g : geoms) {
    x += now->geom_xpos[3 * g] / double(geoms.size());
    y += now->geom_xpos[3 * g + 1] / double(geoms.size());
  }
  // The height stays, so that jumps and falls show.
  camera.middle = {x, y * camera.sine + 0.3 * view.height * camera.cosine};

  cv::Mat pixels(height, width, CV_8UC3, kPaper);
  draw_ground(pixels, camera);
  std::ranges::stable_sort(geoms, std::greater<>{},
                           [&](int g) { return camera.depth(now->geom_xpos + 3 * g); });
  for (const bool rim : {true, false})
    for (const int g : geoms) {
      const double *p = now->geom_xpos + 3 * g, *rotation = now->geom_xmat + 9 * g;
      const double half = model.geom_type[g] == mjGEOM_CAPSULE ? model.geom_size[3 * g + 1] : 0;
      double a[3], b[3];
      for (int i = 0; i < 3; ++i) {
        a[i] = p[i] - half * rotation[3 * i + 2];
        b[i] = p[i] + half * rotation[3 * i + 2];
      }
      const float* rgba = model.geom_rgba + 4 * g;
      const cv::Scalar colour(rgba[0] * 255.0, rgba[1] * 255.0, rgba[2] * 255.0);
      draw_capsule(pixels, camera, camera.flat(a), camera.flat(b),
                   model.geom_size[3 * g] + (rim ? 1.5 / camera.scale : 0), rim ? kRim : colour);
    }
  return {width, height, {pixels.datastart, pixels.dataend}};
}

}  // namespace diffreward
