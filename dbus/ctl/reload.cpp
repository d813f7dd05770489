#include "dbus/ctl/verbs.h"

namespace devid::ctl {

Exit reload(Client& client) {
  const auto reloaded = client.reload();
  return reloaded ? Exit::done : complain(reloaded.error());
}

}  // namespace devid::ctl
