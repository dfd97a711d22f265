#include "envs/mujoco_renderer.h"

#include <dlfcn.h>
#include <mujoco/mujoco.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <mutex>
#include <vector>

#include "core/error.h"
#include "envs/mujoco_model.h"

namespace diffreward {
namespace {

constexpr int kMaxPixels = 4096;

/// A context in memory that one thread at a time makes its own.
class GlContext {
 public:
  virtual ~GlContext() = default;
  virtual bool make_current() = 0;
  virtual void release() = 0;
};

/// A function of a library; a null pointer when there is none.
template <class Function>
Function* find(void* library, const char* name) {
  return reinterpret_cast<Function*>(dlsym(library, name));
}

// The few names of EGL that are needed, from its registry; headers are not required to build.
using EglInt = std::int32_t;
constexpr EglInt kEglNone = 0x3038, kEglSurfaceType = 0x3033, kEglPbufferBit = 1, kEglRedSize = 0x3024,
                 kEglGreenSize = 0x3023, kEglBlueSize = 0x3022, kEglDepthSize = 0x3025,
                 kEglStencilSize = 0x3026, kEglColorBufferType = 0x303F, kEglRgbBuffer = 0x308E,
                 kEglRenderableType = 0x3040, kEglOpenglBit = 8, kEglWidth = 0x3057, kEglHeight = 0x3056;
constexpr unsigned kEglOpenglApi = 0x30A2, kEglPlatformDevice = 0x313F, kEglPlatformSurfaceless = 0x31DD;

class EglContext final : public GlContext {
 public:
  static std::unique_ptr<GlContext> make() {
    auto context = std::unique_ptr<EglContext>(new EglContext);
    return context->open() ? std::move(context) : nullptr;
  }
  bool make_current() override { return make_current_(display_, surface_, surface_, context_); }
  void release() override { make_current_(display_, nullptr, nullptr, nullptr); }

 private:
  using Display = void*;
  bool open() {
    void* const egl = dlopen("libEGL.so.1", RTLD_NOW | RTLD_LOCAL);  // stays open as long as the process
    if (!egl) return false;
    const auto get_proc = find<void*(const char*)>(egl, "eglGetProcAddress");
    const auto initialize = find<unsigned(Display, EglInt*, EglInt*)>(egl, "eglInitialize");
    const auto get_display = find<Display(void*)>(egl, "eglGetDisplay");
    const auto bind = find<unsigned(unsigned)>(egl, "eglBindAPI");
    const auto choose =
        find<unsigned(Display, const EglInt*, void**, EglInt, EglInt*)>(egl, "eglChooseConfig");
    const auto surface = find<void*(Display, void*, const EglInt*)>(egl, "eglCreatePbufferSurface");
    const auto context = find<void*(Display, void*, void*, const EglInt*)>(egl, "eglCreateContext");
    make_current_ = find<unsigned(Display, void*, void*, void*)>(egl, "eglMakeCurrent");
    if (!get_proc || !initialize || !get_display || !bind || !choose || !surface || !context ||
        !make_current_)
      return false;
    // A graphics card without a screen, then Mesa without a card, then what the display variable says.
    const auto platform_display =
        reinterpret_cast<Display (*)(unsigned, void*, const EglInt*)>(get_proc("eglGetPlatformDisplayEXT"));
    const auto devices =
        reinterpret_cast<unsigned (*)(EglInt, void**, EglInt*)>(get_proc("eglQueryDevicesEXT"));
    std::vector<Display> displays;
    if (platform_display && devices) {
      void* found[8];
      EglInt count = 0;
      if (devices(8, found, &count))
        for (EglInt i = 0; i < count; ++i)
          displays.push_back(platform_display(kEglPlatformDevice, found[i], nullptr));
    }
    if (platform_display) displays.push_back(platform_display(kEglPlatformSurfaceless, nullptr, nullptr));
    displays.push_back(get_display(nullptr));
    const EglInt wanted[] = {kEglSurfaceType,
                             kEglPbufferBit,
                             kEglRedSize,
                             8,
                             kEglGreenSize,
                             8,
                             kEglBlueSize,
                             8,
                             kEglDepthSize,
                             24,
                             kEglStencilSize,
                             8,
                             kEglColorBufferType,
                             kEglRgbBuffer,
                             kEglRenderableType,
                             kEglOpenglBit,
                             kEglNone};
    const EglInt tiny[] = {kEglWidth, 8, kEglHeight, 8, kEglNone};
    for (Display display : displays) {
      EglInt major, minor, count = 0;
      void* config = nullptr;
      if (!display || !initialize(display, &major, &minor) || !bind(kEglOpenglApi)) continue;
      if (!choose(display, wanted, &config, 1, &count) || count < 1) continue;
      display_ = display;
      surface_ = surface(display, config, tiny);
      context_ = context(display, config, nullptr, nullptr);
      if (surface_ && context_ && make_current()) {
        release();
        return true;
      }
    }
    return false;
  }

  Display display_ = nullptr;
  void *surface_ = nullptr, *context_ = nullptr;
  unsigned (*make_current_)(Display, void*, void*, void*) = nullptr;
};

class OsMesaContext final : public GlContext {
 public:
  static std::unique_ptr<GlContext> make() {
    auto context = std::unique_ptr<OsMesaContext>(new OsMesaContext);
    return context->open() ? std::move(context) : nullptr;
  }
  bool make_current() override {
    return make_current_(context_, buffer_.data(), kUnsignedByte, kSize, kSize);
  }
  void release() override { make_current_(nullptr, nullptr, kUnsignedByte, 0, 0); }

 private:
  static constexpr unsigned kRgba = 0x1908, kUnsignedByte = 0x1401;
  static constexpr int kSize = 8;  // pictures are drawn into MuJoCo's own off-screen buffer

  bool open() {
    void* mesa = dlopen("libOSMesa.so.8", RTLD_NOW | RTLD_GLOBAL);
    if (!mesa) mesa = dlopen("libOSMesa.so", RTLD_NOW | RTLD_GLOBAL);
    if (!mesa) return false;
    const auto create = find<void*(unsigned, EglInt, EglInt, EglInt, void*)>(mesa, "OSMesaCreateContextExt");
    make_current_ = find<unsigned char(void*, void*, unsigned, int, int)>(mesa, "OSMesaMakeCurrent");
    if (!create || !make_current_) return false;
    context_ = create(kRgba, 24, 8, 0, nullptr);
    if (!context_ || !make_current()) return false;
    release();
    return true;
  }

  void* context_ = nullptr;
  std::vector<std::uint8_t> buffer_ = std::vector<std::uint8_t>(4 * kSize * kSize);
  unsigned char (*make_current_)(void*, void*, unsigned, int, int) = nullptr;
};

/// The process's context. It is never destroyed: the drivers' own clean-up at exit comes first.
struct Gl {
  std::mutex mutex;
  std::unique_ptr<GlContext> context;  // none: no picture can be drawn
  std::string why;                     // and why
  bool required = false;               // MUJOCO_GL names the library
  pid_t process = ::getpid();          // a context does not survive a fork

  Gl() {
    const char* const chosen = std::getenv("MUJOCO_GL");
    const std::string name = chosen ? chosen : "";
    if (name == "disable" || name == "disabled" || name == "off" || name == "false" || name == "0") {
      why = "MUJOCO_GL turns it off";
      return;
    }
    required = name == "egl" || name == "osmesa";
    if (name != "osmesa") context = EglContext::make();
    if (!context && name != "egl") context = OsMesaContext::make();
    if (!context)
      why = name == "egl"
                ? "MUJOCO_GL=egl: cannot make an OpenGL context (Debian: libegl1 and libgl1-mesa-dri)"
            : name == "osmesa"
                ? "MUJOCO_GL=osmesa: cannot make an OpenGL context (Debian: libosmesa6)"
                : "cannot make an OpenGL context by EGL or OSMesa (Debian: libegl1 and libgl1-mesa-dri)";
  }

  static Gl& get() {
    static Gl* const gl = new Gl;
    return *gl;
  }
  bool usable() const { return context && process == ::getpid(); }
};

/// Makes the context current for as long as it lives.
class Current {
 public:
  explicit Current(Gl& gl) : gl_(gl), lock_(gl.mutex) {
    if (!gl.context->make_current()) throw Error("MuJoCo's renderer: the OpenGL context cannot be used");
  }
  ~Current() { gl_.context->release(); }

 private:
  Gl& gl_;
  std::lock_guard<std::mutex> lock_;
};

void insert_before(std::string& text, const std::string& mark, const std::string& added) {
  const std::size_t at = text.find(mark);
  require(at != std::string::npos, "MujocoRenderer: expected ", mark, " in the model");
  text.insert(at, added);
}

/// The model with what only pictures need.
std::string decorated(std::string mjcf) {
  insert_before(
      mjcf, "<worldbody>",
      "<statistic extent=\"60\"/>"
      "<visual><headlight ambient=\".35 .35 .35\" diffuse=\".45 .45 .45\" specular=\".1 .1 .1\"/>"
      "<quality shadowsize=\"2048\"/><map znear=\"0.005\"/></visual>"
      "<asset>"
      "<texture name=\"picture_sky\" type=\"skybox\" builtin=\"gradient\" rgb1=\".93 .95 .98\" "
      "rgb2=\".55 .66 .8\" width=\"64\" height=\"384\"/>"
      "<texture name=\"picture_floor\" type=\"2d\" builtin=\"checker\" rgb1=\".82 .84 .86\" "
      "rgb2=\".70 .73 .77\" width=\"256\" height=\"256\"/>"
      "<material name=\"picture_floor\" texture=\"picture_floor\" texrepeat=\"1 1\" texuniform=\"true\" "
      "reflectance=\"0.1\"/>"
      "</asset>");
  const std::string world = "<worldbody>";
  mjcf.insert(mjcf.find(world) + world.size(),
              "<light directional=\"true\" pos=\"0 0 6\" dir=\"-.3 .4 -1\" diffuse=\".5 .5 .5\" "
              "specular=\".2 .2 .2\"/>");
  const std::string floor = "<geom name=\"floor\" ";
  const std::size_t at = mjcf.find(floor);
  if (at != std::string::npos)
    mjcf.insert(at + floor.size(), "material=\"picture_floor\" rgba=\".5 .5 .5 1\" ");
  return mjcf;
}

}  // namespace

struct MujocoRenderer::Impl {
  std::shared_ptr<const mjModel> model;
  std::unique_ptr<mjData, void (*)(mjData*)> data;
  mjvScene scene;
  mjrContext context;
  std::vector<std::uint8_t> upside_down;
  std::mutex mutex;
  pid_t process = 0;  // that the scene and the context belong to; 0: not made yet

  Impl(const std::string& name, const std::string& mjcf)
      : model(shared_mujoco_model(name, decorated(mjcf))), data(make_mujoco_data(name, *model)) {
    mjv_defaultScene(&scene);
    mjr_defaultContext(&context);
  }
  ~Impl() {
    if (process == 0) return;
    mjv_freeScene(&scene);
    if (process != ::getpid()) return;  // the context stayed with the parent
    try {
      const Current current(Gl::get());
      mjr_freeContext(&context);
    } catch (const Error&) {  // nothing is left to free it with
    }
  }
};

MujocoRenderer::MujocoRenderer(const std::string& name, const std::string& mjcf)
    : impl_(std::make_unique<Impl>(name, mjcf)) {}
MujocoRenderer::~MujocoRenderer() = default;

bool MujocoRenderer::available() {
  const Gl& gl = Gl::get();
  if (!gl.context && gl.required) throw Error(concat("MuJoCo's renderer: ", gl.why));
  return gl.usable();
}

Image MujocoRenderer::render(std::span<const double> qpos, const RobotCamera& camera, int width, int height) {
  require(width >= 1 && width <= kMaxPixels && height >= 1 && height <= kMaxPixels,
          "render: expected a size within [1, ", kMaxPixels, "] pixels, got ", width, " x ", height);
  Gl& gl = Gl::get();
  if (!gl.usable())
    throw Error(concat("MuJoCo's renderer: ",
                       gl.context ? "its OpenGL context stayed with the parent process" : gl.why));
  Impl& m = *impl_;
  const std::lock_guard lock(m.mutex);
  const mjModel* model = m.model.get();
  require(qpos.size() == std::size_t(model->nq), "render: expected ", model->nq, " positions, got ",
          qpos.size());
  std::ranges::copy(qpos, m.data->qpos);
  mj_kinematics(model, m.data.get());
  mj_comPos(model, m.data.get());
  mj_camlight(model, m.data.get());

  const Current current(gl);
  if (m.process == 0) {
    mjv_makeScene(model, &m.scene, 1000);
    mjr_makeContext(model, &m.context, mjFONTSCALE_100);
    m.process = ::getpid();
  }
  if (m.context.offWidth != width || m.context.offHeight != height)
    mjr_resizeOffscreen(width, height, &m.context);
  mjr_setBuffer(mjFB_OFFSCREEN, &m.context);

  mjvCamera view;
  mjv_defaultCamera(&view);
  view.type = mjCAMERA_FREE;
  const double* const middle = m.data->subtree_com + 3;  // of the first body, which all others hang on
  view.lookat[0] = middle[0];
  view.lookat[1] = middle[1];
  view.lookat[2] = camera.look_up > 0 ? camera.look_up : middle[2];
  view.distance = camera.distance;
  view.azimuth = camera.azimuth;
  view.elevation = camera.elevation;
  mjvOption option;
  mjv_defaultOption(&option);
  mjv_updateScene(model, m.data.get(), &option, nullptr, &view, mjCAT_ALL, &m.scene);
  const mjrRect whole = {0, 0, width, height};
  mjr_render(whole, &m.scene, &m.context);

  const std::size_t row = 3 * std::size_t(width);
  m.upside_down.resize(row * std::size_t(height));
  mjr_readPixels(m.upside_down.data(), nullptr, whole, &m.context);
  Image image{width, height, std::vector<std::uint8_t>(m.upside_down.size())};
  for (std::size_t y = 0; y < std::size_t(height); ++y)
    std::copy_n(m.upside_down.begin() + std::ptrdiff_t((std::size_t(height) - 1 - y) * row), row,
                image.rgb.begin() + std::ptrdiff_t(y * row));
  return image;
}

std::shared_ptr<MujocoRenderer> shared_mujoco_renderer(const std::string& name, const std::string& mjcf) {
  static std::mutex mutex;
  static std::map<std::string, std::weak_ptr<MujocoRenderer>> known;
  const std::lock_guard lock(mutex);
  std::weak_ptr<MujocoRenderer>& entry = known[mjcf];
  std::shared_ptr<MujocoRenderer> renderer = entry.lock();
  if (!renderer) entry = renderer = std::make_shared<MujocoRenderer>(name, mjcf);
  return renderer;
}

}  // namespace diffreward
