#include <iostream>

#include "dbus/ctl/json.h"
#include "dbus/ctl/verbs.h"

namespace devid::ctl {

Exit rollback(Client& client, const std::string& name, Format format) {
  const auto generation = client.rollback(name);
  if (!generation) return complain(generation.error());
  if (format == Format::json) {
    print({{"identity", name}, {"generation", *generation}});
    return Exit::done;
  }
  std::cout << name << ": generation " << *generation << " is current again";
  if (const auto identity = client.identity(name))
    std::cout << ", valid until " << moment(number(*identity, "NotAfter")) << "\nhint: it is renewed "
              << moment(number(*identity, "NextAttempt")) << "; if it must stay until then, see to the server";
  std::cout << '\n';
  return Exit::done;
}

}  // namespace devid::ctl
