#pragma once

#include <sys/types.h>

#include <filesystem>
#include <memory>
#include <string>

#include "base/result.h"
#include "tokens/pkcs11/cryptoki.h"

namespace devid::pkcs11 {

/// The file of a module that is named by its path, or by a bare name, which p11-kit looks for in its own directory.
/// Error: config_invalid for a relative path.
Result<std::filesystem::path> module_file(const std::filesystem::path& module);

/// A PKCS#11 module in this process. Several of one file share what is loaded, as p11-kit coordinates it.
class Module {
 public:
  /// Loads it. Run probe_module() before. Error: token_module.
  static Result<std::unique_ptr<Module>> load(const std::filesystem::path& file);
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;
  Module(Module&&) = delete;
  Module& operator=(Module&&) = delete;
  ~Module();

  /// C_Initialize, unless that was done in this process: the child of a fork does it again (PKCS#11 v2.40, 6.6.1), and
  /// has none of its parent's sessions. Error: token_module.
  Result<> initialize();
  /// C_Finalize, unless others in this process use the module. Ends all of its sessions.
  void finalize();
  /// Whether initialize() was done in this process.
  [[nodiscard]] bool is_initialized() const;
  [[nodiscard]] CK_FUNCTION_LIST& functions() const { return *functions_; }

 private:
  enum class Kind { managed, proxy };
  Module(CK_FUNCTION_LIST* functions, Kind kind, std::filesystem::path file);

  CK_FUNCTION_LIST* functions_;
  Kind kind_;
  std::filesystem::path file_;
  pid_t initialized_in_ = -1;
};

}  // namespace devid::pkcs11
