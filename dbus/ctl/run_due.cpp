#include "dbus/ctl/follow.h"

namespace devid::ctl {

Exit run_due(Client& client, Format format) {
  return follow(client, format, "nothing is due", [&] { return client.run_due(); });
}

}  // namespace devid::ctl
