// devid-pkcs11-probe MODULE: loads a PKCS#11 module, starts it and ends it, so that one that crashes does not take
// devidd with it. It writes the name of each step to descriptor 3 before it takes it, at last "done", or why not.
// Exit status: 0 the module works, 1 it does not.

#include <dlfcn.h>
#include <p11-kit/pkcs11.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <csignal>
#include <string>
#include <string_view>
#include <vector>

#include "tokens/pkcs11/ckr.h"

namespace {

constexpr int report_descriptor = 3;

void report(std::string_view line) {
  std::string text(line);
  text += '\n';
  if (::write(report_descriptor, text.data(), text.size()) < 0) ::_exit(2);  // nobody listens any more
}

[[noreturn]] void refuse(std::string_view why) {
  report(why);
  ::_exit(1);
}

void require(const char* name, CK_RV rv) {
  if (rv != CKR_OK) refuse(std::string(name) + ": " + devid::pkcs11::ckr_name(rv));
}

CK_FUNCTION_LIST& load(const char* path) {
  report("dlopen");
  void* module = ::dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (module == nullptr) refuse(::dlerror());
  void* entry = ::dlsym(module, "C_GetFunctionList");
  if (entry == nullptr) refuse("it is not a PKCS#11 module: it has no C_GetFunctionList");
  report("C_GetFunctionList");
  CK_FUNCTION_LIST* functions = nullptr;
  require("C_GetFunctionList", reinterpret_cast<CK_C_GetFunctionList>(entry)(&functions));
  if (functions == nullptr) refuse("C_GetFunctionList returned no functions");
  if (functions->version.major < 2 || functions->version.major > 3)
    refuse("it is a module for version " + std::to_string(functions->version.major) + " of PKCS#11");
  return *functions;
}

void use(CK_FUNCTION_LIST& functions) {
  report("C_Initialize");
  CK_C_INITIALIZE_ARGS arguments{};
  arguments.flags = CKF_OS_LOCKING_OK;
  require("C_Initialize", functions.C_Initialize(&arguments));
  report("C_GetInfo");
  CK_INFO info{};
  require("C_GetInfo", functions.C_GetInfo(&info));
  report("C_GetSlotList");
  CK_ULONG count = 0;
  require("C_GetSlotList", functions.C_GetSlotList(CK_TRUE, nullptr, &count));
  report("C_Finalize");
  require("C_Finalize", functions.C_Finalize(nullptr));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::prctl(PR_SET_DUMPABLE, 0);                   // a crash is reported, and leaves no core
  ::close_range(report_descriptor + 1, ~0U, 0);  // libraries of devidd may have forgotten O_CLOEXEC
  use(load(argv[1]));
  report("done");
  ::_exit(0);  // what a module does when the process ends is not of interest
}
