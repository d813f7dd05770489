#include "tokens/pkcs11/module.h"

#include <dlfcn.h>
#include <unistd.h>

#include <tuple>
#include <utility>

#include "tokens/pkcs11/ckr.h"

// libp11-kit is the proxy: p11-kit-proxy.so is another name of the same file.
extern "C" CK_RV C_GetFunctionList(CK_FUNCTION_LIST_PTR_PTR list);  // NOLINT(readability-identifier-naming)

namespace devid::pkcs11 {
namespace {

/// p11-kit does not load its own proxy as a module; it is asked directly then.
bool is_proxy(const std::filesystem::path& file) {
  void* opened = ::dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NOLOAD);
  if (opened == nullptr) return false;
  const bool same = ::dlsym(opened, "C_GetFunctionList") == reinterpret_cast<void*>(&C_GetFunctionList);
  ::dlclose(opened);
  return same;
}

Error unusable(const std::filesystem::path& file, std::string reason, Retry retry = Retry::after_operator) {
  return {.code = Errc::token_module,
          .retry = retry,
          .what = "cannot use the PKCS#11 module " + file.string(),
          .reason = std::move(reason),
          .hint = "check that it works with `pkcs11-tool --module FILE --list-slots` as the user devid"};
}

}  // namespace

Result<std::filesystem::path> module_file(const std::filesystem::path& module) {
  if (module.is_absolute()) return module;
  if (!module.empty() && !module.has_parent_path()) return std::filesystem::path(DEVID_P11_MODULE_PATH) / module;
  return fail({.code = Errc::config_invalid,
               .retry = Retry::after_operator,
               .what = module.empty() ? "no PKCS#11 module is configured"
                                      : "the path of a PKCS#11 module must be absolute: " + module.string(),
               .hint = "set module, or module-path in the URI, to the shared object of the token's manufacturer"});
}

Result<std::unique_ptr<Module>> Module::load(const std::filesystem::path& file) {
  p11_kit_be_quiet();
  CK_FUNCTION_LIST* functions = nullptr;
  if (is_proxy(file)) {
    if (const CK_RV rv = C_GetFunctionList(&functions); rv != CKR_OK || functions == nullptr)
      return fail(unusable(file, "C_GetFunctionList: " + ckr_name(rv)));
    return std::unique_ptr<Module>(new Module(functions, Kind::proxy, file));
  }
  functions = p11_kit_module_load(file.c_str(), 0);
  if (functions == nullptr) {
    const char* message = p11_kit_message();
    return fail(unusable(file, message == nullptr ? "p11-kit does not say why" : message));
  }
  return std::unique_ptr<Module>(new Module(functions, Kind::managed, file));
}

Module::Module(CK_FUNCTION_LIST* functions, Kind kind, std::filesystem::path file)
    : functions_(functions), kind_(kind), file_(std::move(file)) {}

Module::~Module() {
  finalize();
  if (kind_ == Kind::managed) p11_kit_module_release(functions_);
}

bool Module::is_initialized() const { return initialized_in_ == ::getpid(); }

Result<> Module::initialize() {
  if (is_initialized()) return {};
  // p11-kit gives CKF_OS_LOCKING_OK to the module.
  const CK_RV rv = p11_kit_module_initialize(functions_);
  if (rv != CKR_OK && rv != CKR_CRYPTOKI_ALREADY_INITIALIZED)
    return fail(unusable(file_, "C_Initialize: " + ckr_name(rv), Retry::later));
  initialized_in_ = ::getpid();
  return {};
}

void Module::finalize() {
  if (is_initialized()) std::ignore = p11_kit_module_finalize(functions_);
  initialized_in_ = -1;
}

}  // namespace devid::pkcs11
