#include "dbus/ctl/follow.h"

namespace devid::ctl {

Exit renew(Client& client, const JobRequest& request, Format format) {
  return follow_one(client, format, request, "Renew");
}

}  // namespace devid::ctl
