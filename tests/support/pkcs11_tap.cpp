#include "tests/support/pkcs11_tap.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <new>
#include <numeric>
#include <stdexcept>

namespace devid::test {
namespace {

std::int32_t number_of(std::string_view function) {
  if (function.empty()) return TapControl::any_function;
  const auto* const at = std::ranges::find(pkcs11_functions, function);
  if (at == pkcs11_functions.end()) throw std::runtime_error("PKCS#11 has no function " + std::string(function));
  return static_cast<std::int32_t>(at - pkcs11_functions.begin());
}

TapControl* map_control(const std::filesystem::path& file) {
  const int fd = ::open(file.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0 || ::ftruncate(fd, sizeof(TapControl)) != 0) throw std::runtime_error("cannot make " + file.string());
  void* const at = ::mmap(nullptr, sizeof(TapControl), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  ::close(fd);
  if (at == MAP_FAILED) throw std::runtime_error("cannot map " + file.string());
  return ::new (at) TapControl;
}

}  // namespace

Pkcs11Tap::Pkcs11Tap(const std::filesystem::path& real_module) : control_(map_control(directory_.path() / "control")) {
  if (real_module.native().size() >= control_->module.size()) throw std::runtime_error("the module's path is too long");
  std::ranges::copy(real_module.native(), control_->module.begin());
  control_->process = ::getpid();
  ::setenv(tap_variable, (directory_.path() / "control").c_str(), 1);
}

Pkcs11Tap::~Pkcs11Tap() { ::munmap(control_, sizeof(TapControl)); }

std::filesystem::path Pkcs11Tap::module() { return DEVID_PKCS11_TAP_MODULE; }

std::string Pkcs11Tap::environment() const {
  return std::string(tap_variable) + "=" + (directory_.path() / "control").string();
}

std::size_t Pkcs11Tap::calls(std::string_view function) const {
  return control_->calls.at(static_cast<std::size_t>(number_of(function)));
}

std::size_t Pkcs11Tap::calls() const {
  return std::accumulate(control_->calls.begin(), control_->calls.end(), std::size_t{0});
}

std::string Pkcs11Tap::summary() const {
  std::string text;
  for (std::size_t i = 0; i < pkcs11_functions.size(); ++i) {
    if (control_->calls[i] == 0) continue;
    if (!text.empty()) text += ", ";
    text.append(pkcs11_functions[i]).append(" ").append(std::to_string(control_->calls[i]));
  }
  return text;
}

void Pkcs11Tap::reset() {
  for (auto& count : control_->calls) count = 0;
}

void Pkcs11Tap::fail(std::string_view function, unsigned long rv, unsigned times, unsigned after) {
  const std::int32_t number = number_of(function);
  for (auto& failure : control_->failures) {
    if (failure.function != TapControl::no_function) continue;
    failure.after = after;
    failure.times = times;
    failure.rv = rv;
    failure.function = number;  // last: the tap may be looking
    return;
  }
  throw std::runtime_error("too many failures at once");
}

bool Pkcs11Tap::has_failed() const {
  return std::ranges::all_of(control_->failures,
                             [](const auto& failure) { return failure.function == TapControl::no_function; });
}

void Pkcs11Tap::hide_mechanisms(std::initializer_list<unsigned long> mechanisms) {
  if (mechanisms.size() > TapControl::most_hidden) throw std::runtime_error("too many mechanisms to hide");
  std::ranges::transform(mechanisms, control_->hidden_mechanisms.begin(), [](unsigned long it) { return it + 1; });
}

void Pkcs11Tap::heal() {
  for (auto& failure : control_->failures) failure.function = TapControl::no_function;
  for (auto& mechanism : control_->hidden_mechanisms) mechanism = 0;
  control_->gone = false;
  control_->close_sessions = false;
  control_->token_flags = 0;
  control_->misbehaviour = 0;
}

}  // namespace devid::test
