#pragma once

namespace devid::test {

/// What a system bus allows before any service has said more: the rules of /usr/share/dbus-1/system.conf that matter
/// here.
inline constexpr const char* system_bus_rules = R"(  <policy context="default">
    <allow user="*"/>
    <deny own="*"/>
    <deny send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
    <allow send_destination="org.freedesktop.DBus"/>
  </policy>
)";

}  // namespace devid::test
