#include "envs/mujoco_renderer.h"

#include <dlfcn.h>
#include <mujoco/mujoco.h>
#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <mutex>
#include <vector>

#include "core/error.h"
#include "envs/mujoco_model.h"

namespace diffreward {
namespace {

/// A context in memory that one thread at a time makes its own.
class GlContext {
 public:
  virtual ~GlContext() = default;
  /// False when it is lost for good.
  virtual bool make_current() = 0;
  /// Gives the thread back to the context that make_current found, or to none.
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
constexpr EglInt kEglDraw = 0x3059, kEglRead = 0x305A;
constexpr unsigned kEglOpenglApi = 0x30A2, kEglPlatformDevice = 0x313F, kEglPlatformSurfaceless = 0x31DD;

/// A context is known again by a buffer object with contents of its own: the handle of one that was destroyed
/// may have become that of another library's.
class GlMark {
 public:
  /// Leaves the mark in the current context.
  template <class GetProc>
  bool leave(const GetProc& get_proc) {
    return load(get_proc, "glGenBuffers", generate_) && load(get_proc, "glBindBuffer", bind_) &&
           load(get_proc, "glBufferData", fill_) && load(get_proc, "glGetBufferSubData", read_) &&
           load(get_proc, "glGetBufferParameteriv", parameter_) && load(get_proc, "glIsBuffer", is_buffer_) &&
           load(get_proc, "glGetIntegerv", get_) && write();
  }
  /// Whether the current context holds it.
  bool found() const {
    if (!is_buffer_(name_)) return false;
    const Bound bound(*this);
    int size = 0;
    parameter_(kArrayBuffer, kBufferSize, &size);
    if (size != sizeof contents_) return false;
    Contents there{};
    read_(kArrayBuffer, 0, sizeof there, there.data());
    return there == contents_;
  }

 private:
  using Contents = std::array<std::int64_t, 3>;
  static constexpr unsigned kArrayBuffer = 0x8892, kArrayBufferBinding = 0x8894, kBufferSize = 0x8764,
                            kStaticDraw = 0x88E4;

  /// Binds the buffer for as long as it lives.
  struct Bound {
    const GlMark& mark;
    int before = 0;
    explicit Bound(const GlMark& of) : mark(of) {
      mark.get_(kArrayBufferBinding, &before);
      mark.bind_(kArrayBuffer, mark.name_);
    }
    ~Bound() { mark.bind_(kArrayBuffer, unsigned(before)); }
  };

  template <class GetProc, class Function>
  static bool load(const GetProc& get_proc, const char* name, Function*& function) {
    function = reinterpret_cast<Function*>(get_proc(name));
    return function != nullptr;
  }
  bool write() {
    static std::int64_t count = 0;
    contents_ = {++count, ::getpid(), std::chrono::steady_clock::now().time_since_epoch().count()};
    generate_(1, &name_);
    const Bound bound(*this);
    fill_(kArrayBuffer, sizeof contents_, contents_.data(), kStaticDraw);
    return name_ != 0;
  }

  unsigned name_ = 0;
  Contents contents_{};
  void (*generate_)(int, unsigned*) = nullptr;
  void (*bind_)(unsigned, unsigned) = nullptr;
  void (*fill_)(unsigned, std::ptrdiff_t, const void*, unsigned) = nullptr;
  void (*read_)(unsigned, std::ptrdiff_t, std::ptrdiff_t, void*) = nullptr;
  void (*parameter_)(unsigned, unsigned, int*) = nullptr;
  unsigned char (*is_buffer_)(unsigned) = nullptr;
  void (*get_)(unsigned, int*) = nullptr;
};

class EglContext final : public GlContext {
 public:
  static std::unique_ptr<GlContext> make() {
    auto context = std::unique_ptr<EglContext>(new EglContext);
    return context->open() ? std::move(context) : nullptr;
  }
  bool make_current() override {
    if (!bind()) return false;
    if (mark_.found()) return true;
    release();
    return false;
  }
  void release() override {
    if (before_.context)
      make_current_(before_.display, before_.draw, before_.read, before_.context);
    else
      make_current_(display_, nullptr, nullptr, nullptr);
  }

 private:
  using Display = void*;
  struct Current {
    Display display = nullptr;
    void *draw = nullptr, *read = nullptr, *context = nullptr;
  };
  bool bind() {
    before_ = {get_current_display_(), get_current_surface_(kEglDraw), get_current_surface_(kEglRead),
               get_current_context_()};
    return make_current_(display_, surface_, surface_, context_);
  }
  bool open() {
    void* const egl = dlopen("libEGL.so.1", RTLD_NOW | RTLD_LOCAL);  // stays open as long as the process
    if (!egl) return false;
    const auto get_proc = find<void*(const char*)>(egl, "eglGetProcAddress");
    const auto initialize = find<unsigned(Display, EglInt*, EglInt*)>(egl, "eglInitialize");
    const auto get_display = find<Display(void*)>(egl, "eglGetDisplay");
    const auto bind_api = find<unsigned(unsigned)>(egl, "eglBindAPI");
    const auto choose =
        find<unsigned(Display, const EglInt*, void**, EglInt, EglInt*)>(egl, "eglChooseConfig");
    const auto surface = find<void*(Display, void*, const EglInt*)>(egl, "eglCreatePbufferSurface");
    const auto context = find<void*(Display, void*, void*, const EglInt*)>(egl, "eglCreateContext");
    make_current_ = find<unsigned(Display, void*, void*, void*)>(egl, "eglMakeCurrent");
    get_current_context_ = find<void*()>(egl, "eglGetCurrentContext");
    get_current_display_ = find<Display()>(egl, "eglGetCurrentDisplay");
    get_current_surface_ = find<void*(EglInt)>(egl, "eglGetCurrentSurface");
    if (!get_proc || !initialize || !get_display || !bind_api || !choose || !surface || !context ||
        !make_current_ || !get_current_context_ || !get_current_display_ || !get_current_surface_)
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
      if (!display || !initialize(display, &major, &minor) || !bind_api(kEglOpenglApi)) continue;
      if (!choose(display, wanted, &config, 1, &count) || count < 1) continue;
      display_ = display;
      surface_ = surface(display, config, tiny);
      context_ = context(display, config, nullptr, nullptr);
      if (!surface_ || !context_ || !bind()) continue;
      const bool marked = mark_.leave(get_proc);
      release();
      if (marked) return true;
    }
    return false;
  }

  Display display_ = nullptr;
  void *surface_ = nullptr, *context_ = nullptr;
  GlMark mark_;
  Current before_;  // what the thread had
  unsigned (*make_current_)(Display, void*, void*, void*) = nullptr;
  void* (*get_current_context_)() = nullptr;
  Display (*get_current_display_)() = nullptr;
  void* (*get_current_surface_)(EglInt) = nullptr;
};

/// Whether a context was current, whoever made it, in the thread that forked this process.
bool forked_while_drawing = false;

/// Looks before every fork, and remembers in the child.
[[maybe_unused]] const int watching_forks = [] {
  static bool current = false;
  return ::pthread_atfork(
      [] {
        void* const egl = dlopen("libEGL.so.1", RTLD_NOW | RTLD_NOLOAD);
        const auto context = egl ? find<void*()>(egl, "eglGetCurrentContext") : nullptr;
        current = context && context();
        if (egl) dlclose(egl);
      },
      nullptr, [] { forked_while_drawing |= current; });
}();

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

constexpr const char* kForked =
    "MuJoCo's renderer: OpenGL stayed with the parent process, which had drawn before it forked: draw first "
    "in "
    "the child process, or start processes by 'spawn' or 'forkserver'";

/// The process's context. It is never destroyed: the drivers' own clean-up at exit comes first.
struct Gl {
  std::mutex mutex;
  std::unique_ptr<GlContext> (*make)() = nullptr;  // none: no picture can be drawn
  std::unique_ptr<GlContext> context;
  int generation = 0;          // counts the contexts
  std::string why;             // if none
  bool required = false;       // MUJOCO_GL names the library
  pid_t process = ::getpid();  // that the context belongs to

  Gl() {
    const char* const chosen = std::getenv("MUJOCO_GL");
    const std::string name = chosen ? chosen : "";
    if (name == "disable" || name == "disabled" || name == "off" || name == "false" || name == "0") {
      why = "MUJOCO_GL turns it off";
      return;
    }
    required = name == "egl" || name == "osmesa";
    if (name != "osmesa") try_library(EglContext::make);
    if (!context && name != "egl") try_library(OsMesaContext::make);
    if (!context)
      why = name == "egl"
                ? "MUJOCO_GL=egl: cannot make an OpenGL context (Debian: libegl1 and libgl1-mesa-dri)"
            : name == "osmesa"
                ? "MUJOCO_GL=osmesa: cannot make an OpenGL context (Debian: libosmesa6)"
                : "cannot make an OpenGL context by EGL or OSMesa (Debian: libegl1 and libgl1-mesa-dri)";
  }

  /// Throws Error in a process that OpenGL did not follow through a fork.
  static Gl& get() {
    if (forked_while_drawing) throw Error(kForked);
    static Gl* const gl = new Gl;
    if (gl->make && gl->process != ::getpid()) throw Error(kForked);
    return *gl;
  }

  /// Makes the context current, or a new one where it was lost.
  void make_current() {
    if (context && context->make_current()) return;
    context = make();
    ++generation;
    if (!context || !context->make_current())
      throw Error(
          "MuJoCo's renderer: another library took the OpenGL context away, and no other can be made");
  }

 private:
  void try_library(std::unique_ptr<GlContext> (*library)()) {
    context = library();
    if (!context) return;
    make = library;
    generation = 1;
  }
};

/// Makes the context current for as long as it lives.
class Current {
 public:
  explicit Current(Gl& gl) : gl_(gl), lock_(gl.mutex) { gl.make_current(); }
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
  int generation = 0;  // of the context that `context` belongs to; 0: none yet
  pid_t process = ::getpid();

  Impl(const std::string& name, const std::string& mjcf)
      : model(shared_mujoco_model(name, decorated(mjcf))), data(make_mujoco_data(name, *model)) {
    mjv_defaultScene(&scene);
    mjr_defaultContext(&context);
  }
  ~Impl() {
    mjv_freeScene(&scene);
    if (generation == 0 || process != ::getpid()) return;  // OpenGL's part stayed with the parent
    try {
      Gl& gl = Gl::get();
      const Current current(gl);
      if (generation == gl.generation) mjr_freeContext(&context);  // else it was lost with its own
    } catch (const Error&) {                                       // nothing is left to free it with
    }
  }

  /// Loads the model into the current context, unless it is there.
  void load(int current_generation) {
    if (generation == current_generation) return;
    if (!scene.maxgeom) mjv_makeScene(model.get(), &scene, 1000);
    mjr_defaultContext(&context);
    mjr_makeContext(model.get(), &context, mjFONTSCALE_100);
    generation = current_generation;
    process = ::getpid();
  }
};

MujocoRenderer::MujocoRenderer(const std::string& name, const std::string& mjcf)
    : impl_(std::make_unique<Impl>(name, mjcf)) {}
MujocoRenderer::~MujocoRenderer() = default;

bool MujocoRenderer::available() {
  const Gl& gl = Gl::get();
  if (!gl.make && gl.required) throw Error(concat("MuJoCo's renderer: ", gl.why));
  return gl.make != nullptr;
}

Image MujocoRenderer::render(std::span<const double> qpos, const RobotCamera& camera, int width, int height) {
  check_picture_size(width, height);
  Gl& gl = Gl::get();
  if (!gl.make) throw Error(concat("MuJoCo's renderer: ", gl.why));
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
  m.load(gl.generation);
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
