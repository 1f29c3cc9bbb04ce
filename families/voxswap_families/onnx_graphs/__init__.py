"""Graphs of ONNX, which are programs, looked over before anybody runs them."""
